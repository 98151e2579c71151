// Package faultjournal is a journal around a journal that does what journals do
// on bad days: it fails before the commit or after it, takes its time, lets
// another writer in between, and tells outcomes of different streams in any
// order.
//
//	journal := faultjournal.New(faultjournal.Config{
//		Journal: new(memory.Journal),
//		Append:  faultjournal.Random(seed, faultjournal.Rates{Before: 0.1, After: 0.1}),
//	})
//
// Functions of the stream and of the number of the attempt in it decide about the faults, so
// a seed means the same faults however goroutines interleave.
// Between its faults it is a [persistence.Journal] as good as the one inside: it
// keeps the order of each stream and breaks chains. It is also a
// [persistence.Submitter] and a [persistence.PageReader], whatever the other is.
//
// It uses package time alone for time, and its goroutines exist only while
// something is under way, so that systems on it run in testing/synctest. It does
// not know what its users prove with it.
package faultjournal
