package memory_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journaltest"
	"github.com/stele-es/stele/persistence/memory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestJournal(t *testing.T) { t.Parallel(); journaltest.Run(t, open) }

func BenchmarkJournal(b *testing.B) { journaltest.Benchmark(b, open) }

func open(testing.TB) persistence.Journal { return new(memory.Journal) }
