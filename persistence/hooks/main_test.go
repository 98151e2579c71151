package hooks_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/memory"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(pgtest.Main(m))
}

// A journal with hooks is a journal, also when the hooks have something to do.
func TestJournal(t *testing.T) {
	t.Parallel()

	t.Run("without hooks", func(t *testing.T) {
		t.Parallel()
		journaltest.Run(t, func(testing.TB) persistence.Journal {
			return hooks.New(hooks.Config{Journal: memory.New(memory.Config{})})
		})
	})
	t.Run("with hooks", func(t *testing.T) {
		t.Parallel()
		journaltest.Run(t, func(testing.TB) persistence.Journal {
			journal := hooks.New(hooks.Config{Journal: memory.New(memory.Config{})})
			for range 2 {
				journal.Add(new(trace).hook("x"))
			}
			return journal
		})
	})
}
