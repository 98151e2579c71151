// Package journaltest is the conformance suite of journals: it tests the promises of
// [persistence.Journal], and has the benchmarks that all journals share. A journal passes
// it with three lines:
//
//	func TestJournal(t *testing.T)      { t.Parallel(); journaltest.Run(t, open) }
//	func BenchmarkJournal(b *testing.B) { journaltest.Benchmark(b, open) }
//	func open(testing.TB) persistence.Journal { return new(memory.Journal) }
//
// A durable journal uses [Durable], and is tested also for keeping its events:
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
// The suite finds the optional abilities of a journal by itself: [persistence.Submitter],
// [persistence.PageReader], [persistence.Transactor], [persistence.Scavenger],
// [persistence.Importer], [persistence.Snapshots], [persistence.Schemas] and
// [persistence.Checker]. Cases of an ability that a journal does not have are absent; no
// case is ever skipped. The name of each case is a promise, and so are the messages of its
// failures. Each case opens a journal of its own and runs in parallel with the others.
//
// Many cases are tables of single calls. Others have many writers at once, readers that
// follow the sequence meanwhile, callers that leave at any moment, and a check of
// linearizability (porcupine). Random calls are compared with a model, and random filters
// with the filters' own evaluation; failures are shrunk (rapid, with flags such as
// -rapid.checks).
//
// The suite itself is tested with hundreds of journals that each break one promise: each
// must fail the case of this promise. testdata/broken-journals.txt lists their faults.
//
// Authors of journals find in package journalkit what every journal needs. A rule that all
// journals obey belongs here and never into the tests of one journal. The package knows no
// journal.
package journaltest
