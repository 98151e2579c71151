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
// The suite is tested as well, by journals that break one promise each, which
// names the case that must fail. So it catches a journal that
//
//   - ignores the expected version
//   - takes NoStream for Any
//   - acknowledges before it stores and drops some
//   - checks the version before it writes and not while
//   - fails the whole call when one append conflicts
//   - stores a part of what it refuses
//   - checks nothing in an append without events
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
//   - forgets tags
//   - keeps a tag once for all its spellings
//   - takes other tags for a repetition
//   - cuts payloads at a zero byte
//   - tells the time of another zone
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
//   - goes on with a journal that took its place
//   - loses the last append in a crash
//   - loses some of the load in a crash
//   - forgets ids when it is opened again
//   - begins to count anew when it is opened again
//   - forgets streams without events when it is opened again
//   - forgets truncations when it is opened again
//   - forgets the end of streams when it is opened again
//   - forgets snapshots when it is opened again
//   - forgets schemas when it is opened again
//   - brings back what was scavenged when it is opened again
//   - has a new identity when it is opened again
//   - takes a created stream for a missing one
//   - creates a stream that exists
//   - checks that a stream is new before it creates it and not while
//   - refuses the first event of a created stream
//   - ends a created stream with its first event
//   - ignores the revision
//   - checks the revision before it writes and not while
//   - counts a revision when the same metadata is set
//   - refuses the same metadata at another revision
//   - truncates an empty stream
//   - adds metadata to what is there
//   - sets metadata of a stream that does not exist
//   - does not check the metadata of streams
//   - looks for names that no stream can have
//   - counts the events of a deleted stream
//   - checks that a stream exists before it deletes it and not while
//   - begins a life where another was truncated
//   - goes on at a tombstone again
//   - counts from 1 when a stream is written again
//   - reads what was deleted when a stream is written again
//   - hides tombstones from the sequence
//   - hides what was deleted from the sequence
//   - deletes whatever is expected
//   - checks the expectation before it looks for the stream
//   - deletes a stream twice
//   - knows the ids of a deleted stream
//   - lets a writer pass who has not seen a deletion
//   - keeps metadata across a deletion
//   - begins revisions again after a deletion
//   - stores tombstones of everybody
//   - acknowledges deletions and drops some
//   - reads on while a stream ends
//   - deletes without a wake
//   - lowers a truncation
//   - truncates the newest event
//   - begins later without a word
//   - reads backward what was truncated
//   - hides what was truncated from the sequence
//   - forgets the ids of what is truncated
//   - shows scavenged events
//   - closes the gaps of scavenged events
//   - scavenges tombstones
//   - scavenges what can be read
//   - knows the ids of scavenged events
//   - takes an empty page for the end
//   - lists without order
//   - lists in the order of an alphabet
//   - lists deleted streams
//   - ignores the offset
//   - counts the offset from the beginning
//   - ignores the limit
//   - lists the last name again
//   - takes a prefix for a pattern
//   - lists by the first condition alone
//   - takes a part of a category for it
//   - compares numbers as floats
//   - tells integers from floats in a listing
//   - lists one page of many streams
//   - looks for matches in one page of many streams
//   - lists system streams
//   - does not check what it lists by
//   - lists categories in the order of their streams
//   - lists a category for each of its streams
//   - lists no category for names without one
//   - counts against the limit what a filter leaves out
//   - ignores the filter of a backward reading
//   - goes on from the last event that a filter chose
//   - asks a filter about everything for one page
//   - asks a filter about half of an event
//   - trusts what a filter needs for what it chooses
//   - looks for numbers in the form that they are asked in
//   - looks for text whatever its case
//   - does not check filters
//   - counts without the filter
//   - refuses without saying what is wrong
//   - answers who has left with an error of no kind
//   - takes a filter that is wrong for one that chooses nothing
//   - takes the greatest place for none
//   - names a place that it looked up later than the events
//   - binds no more than some of the operands
//   - counts without the limit
//   - counts what was truncated
//   - reads the sequence backward from the place he is given on
//   - reads the sequence backward from one before the head
//   - takes the beginning for the head
//   - has backward pages without bound
//   - shows system streams to a backward reader
//   - begins at the head again for each backward page
//   - shows a transaction before its commit
//   - lets others write inside of a transaction
//   - keeps the first appends of a transaction only
//   - stores the halves of a transaction apart
//   - stores the half of a transaction while it closes
//   - creates streams whose callers have left
//   - checks nothing in appends that are empty in a transaction
//   - holds up readers for a transaction
//   - commits what a body has given up
//   - wraps the error of a body
//   - commits what a body stored before it panicked
//   - overlooks a poison
//   - commits the half of a poisoned transaction
//   - is poisoned by a reading
//   - does not see its own appends in a transaction
//   - forgets the ids of a transaction
//   - ignores the expected version in a transaction
//   - leaves a gap where it rolls back
//   - serves a transaction that has ended
//   - does it for a caller who has left
//   - commits a transaction without a wake
//   - lets an older snapshot win
//   - keeps the first snapshot of a version
//   - keeps the snapshot of a deleted stream
//   - lets a snapshot come back that was on its way
//   - forgets the snapshots of names that begin alike
//   - forgets snapshots whatever their age
//   - forgets the snapshot of the very moment
//   - does not count the snapshots that it forgets
//   - cuts snapshots that are too large
//   - takes fingerprints for text
//   - loads a snapshot that was damaged
//   - keeps the slices of who saves a snapshot
//   - hands out the slices of its schemas
//   - looks for a schema before it registers it and not while
//   - gives a schema an id for each time it is registered
//   - takes a schema for the same in another encoding
//   - takes schemas for text
//   - lists schemas without order
//   - has no limit for schemas
//   - counts no events without a schema
//   - counts no events of streams without a category
//   - counts one event of each sort
//   - counts events without order
//   - has a metadata map for all
//   - gives imported events the time of the import
//   - knows no imported ids
//   - knows all imported ids
//   - makes sense of what no journal has stored
//   - stores a part of an import that it refuses
//   - imports what lies behind a hole
//   - takes any event for the one that was imported
//   - refuses what was imported already
//   - compares what was scavenged
//   - goes on at an imported tombstone
//   - imports when nobody looks
//   - imports without a wake
//   - forgets streams that are imported empty
//   - brings back what was truncated before an import
//   - begins revisions again in a copy
//   - takes back metadata for an older state
//   - imports the state of streams that have not come as far
//   - overlooks other metadata at the same revision
//   - hides what is gone from who copies
//   - hides which ids are recognised from who copies
//   - reads the whole sequence backward
//   - hides deleted streams from who asks for them
//   - finds fault with husks
//   - warns and does not say what to do
//   - checks for a caller who has left
//
// A rule of journals belongs here and never into the tests of one journal. The
// package knows no journal.
package journaltest
