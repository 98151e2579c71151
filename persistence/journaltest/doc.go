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
// The suite finds the optional abilities [persistence.Submitter] and
// [persistence.PageReader] by itself. Cases of abilities that a journal does not
// have are absent; none is ever skipped. Each case is a sentence that a journal
// can fail, runs in parallel with the others, and opens a journal of its own.
//
// Beside tables of single calls there are many writers at once, readers that
// follow the sequence meanwhile, callers that leave at any moment, a check of
// linearizability (porcupine), and random calls against a model that are shrunk
// when they fail (rapid, whose flags the test binary gets: -rapid.checks).
//
// The suite is tested as well, by journals that break one promise each, which
// names the case that must fail. So it catches a journal that
//
//   - ignores the expected version
//   - takes NoStream for Any
//   - acknowledges before it stores and drops some
//   - checks the version before it writes and not while
//   - fails the whole call when one append conflicts
//   - stores a part of what it refuses
//   - checks the expectation of an append without events
//   - turns the appends of a call around
//   - stores the valid appends of an invalid call
//   - stores for a caller who has left
//   - reports an append as refused whose caller left after it
//   - has no limits
//   - leaves a stream behind what it refuses
//   - stores repeated ids again
//   - takes other content for a repetition
//   - gives a repetition the place of the head
//   - checks the version before the ids
//   - takes headers for content
//   - stores the fresh part of an overlap
//   - keeps ids for the whole journal
//   - forgets the ids of a stream that has grown
//   - folds the case of names
//   - leaves gaps between positions
//   - leaves gaps between versions
//   - publishes positions out of their order
//   - ignores chains
//   - mends a chain when its version comes about
//   - breaks all chains with one
//   - calls done twice
//   - drops what was submitted when it closes
//   - reads what was true a moment ago
//   - reads backward from one version too low
//   - takes From as the last version seen
//   - shows a missing stream as an empty one
//   - goes on with a loop where it was left
//   - hands out its own slices
//   - keeps the writer's slices
//   - turns whole floats into integers
//   - passes integers through floats
//   - writes ids into the caller's events
//   - cuts payloads at a zero byte
//   - tells the time of another zone
//   - forgets tags
//   - keeps a tag once for all its spellings
//   - takes other tags for a repetition
//   - skips an event between two pages
//   - yields the event at the place again
//   - shows system streams
//   - stops before hidden events
//   - has pages without bound
//   - moves a place beyond the head back to it
//   - ends without a page at the head
//   - never wakes who waits
//   - hides why a waiting caller has left
//   - goes on when it is closed
//   - leaves readers waiting when it is closed
//   - fails in a way of its own while it closes
//   - has another identity at each call
//   - has the identity of every other journal
//   - loses the last append in a crash
//   - loses some of the load in a crash
//   - forgets ids when it is opened again
//   - begins to count anew when it is opened again
//   - has a new identity when it is opened again
//
// A rule of journals belongs here and never into the tests of one journal. The
// package knows no journal.
package journaltest
