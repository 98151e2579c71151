// Package tail follows what a journal stores: first what is there, then what
// comes, without a seam between the two.
//
//	subscription, err := tail.Open(ctx, journal, tail.Options{Category: "account", Checkpoint: checkpoint})
//	for page, err := range subscription.Pages(ctx) {
//		if err != nil {
//			return err
//		}
//		handle(page.Events)
//		checkpoint, err = subscription.Checkpoint(ctx, page.Next)
//	}
//
// A subscription sees every event once and in order, and none is ever skipped: it
// rests on the promise of [persistence.Reader] that nothing appears behind a place
// that a reader has seen. It pulls: the next page is read when the loop asks for
// it, so a slow consumer slows nobody, holds nothing of the journal while it works,
// and cannot be overrun. There is nothing to close; leaving the loop is the end.
//
// # Many subscribers
//
// A [Tailer] lets many follow one journal while each page at the head is read once:
// whichever subscriber comes there first reads it for all. Those who fall too far
// behind read their own pages until they have caught up. It has no goroutine and no
// state worth keeping.
//
// # Where to go on
//
// A [Checkpoint] remembers a place together with the journal and the event there,
// so that [Open] can tell a journal that has lost its newest events, or is another
// one, from the journal that was left: see [Probe].
//
// With the Reader of package upcast, subscribers get events in the form of today; filters
// still see them as they are stored. The package knows no journal.
package tail
