package actors_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// endingLog counts the lines that it gets, and does not return.
type endingLog struct {
	slog.Handler
	end   func()
	lines *atomic.Int64
}

func (endingLog) Enabled(context.Context, slog.Level) bool { return true }

func (l endingLog) Handle(context.Context, slog.Record) error {
	l.lines.Add(1)
	l.end()
	return nil
}

func TestALoggerThatDoesNotReturnEndsNoAggregate(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("secret") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := endingLog{slog.DiscardHandler, end, new(atomic.Int64)}
			mad := actors.NewCommand[Put, Seen]("mad")
			system := open(t, actors.Config{
				Journal: new(memory.Journal), Logger: slog.New(log), Around: []actors.Around{actors.LogAround(slog.New(log))},
				Aggregates: []actors.Definition{lists(), actors.Define("mad", actors.Handle(mad, func(*struct{}, *actors.Tx, Put) (Seen, error) { panic("secret") }))},
			})

			for range 3 {
				_, err := mad.Ask(t.Context(), system, "a", Put{})
				require.ErrorIs(t, err, persistence.ErrRejected)
			}
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 1})
			require.NoError(t, err)

			require.NoError(t, system.Close(t.Context()))
			require.GreaterOrEqual(t, log.lines.Load(), int64(7), "each command, and each panic")
		})
	}
}
