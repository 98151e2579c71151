// Package journaltest is what a journal has to pass: the promises of
// [persistence.Journal] as tests, and the benchmarks that all journals share.
//
//	func TestJournal(t *testing.T)      { t.Parallel(); journaltest.Run(t, open) }
//	func BenchmarkJournal(b *testing.B) { journaltest.Benchmark(b, open) }
//	func open(testing.TB) persistence.Journal { return new(memory.Journal) }
//
// A journal that keeps its events says so, and is tested for it too:
//
//	func TestJournal(t *testing.T) {
//		t.Parallel()
//		journaltest.Durable{Store: newStore, Crash: crash}.Run(t)
//	}
//
//	func newStore(t testing.TB) func(testing.TB) persistence.Journal {
//		path := filepath.Join(t.TempDir(), "journal")
//		return func(t testing.TB) persistence.Journal { … open path … }
//	}
//
// The suite finds the optional abilities by itself: [persistence.Submitter],
// [persistence.PageReader], [persistence.Transactor], [persistence.Scavenger],
// [persistence.Importer], [persistence.Snapshots], [persistence.Schemas] and
// [persistence.Checker]. Cases
// of abilities that a journal does not have are absent; none is ever skipped. Each case is a sentence
// that a journal can fail, runs in parallel with the others, and opens a journal
// of its own.
//
// Beside tables of single calls there are many writers at once, readers that
// follow the sequence meanwhile, callers that leave at any moment, a check of
// linearizability (porcupine), and random calls and filters against a model and
// against the filters' own evaluator, which are shrunk when they fail (rapid, whose
// flags the test binary gets: -rapid.checks).
//
// The suite is tested as well: hundreds of journals that each break one promise must
// each fail the case that guards the promise. What they do wrong is listed in
// testdata/broken-journals.txt.
//
// A rule of journals belongs here and never into the tests of one journal. The
// package knows no journal.
package journaltest
