package tail_test

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// opens are the ways to get a subscription, which must not differ in what is seen.
var opens = map[string]func(context.Context, persistence.Reader, tail.Options) (*tail.Subscription, error){
	"alone": tail.Open,
	"shared": func(ctx context.Context, reader persistence.Reader, options tail.Options) (*tail.Subscription, error) {
		return tail.NewTailer(tail.Config{Reader: reader}).Open(ctx, options)
	},
	"shared, in small pages": func(ctx context.Context, reader persistence.Reader, options tail.Options) (*tail.Subscription, error) {
		return tail.NewTailer(tail.Config{Reader: reader, PageRows: 2, Bytes: 1}).Open(ctx, options)
	},
}

// seen are the types of events, and "|" where a page says that it is at the head.
type seen []string

func (s *seen) add(page persistence.Page) {
	for _, e := range page.Events {
		*s = append(*s, e.Type)
	}
	if page.AtHead {
		*s = append(*s, "|")
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Rename("old", "new"), upcast.Drop("noise"), upcast.Upcaster{
		From: "pair", To: []string{"left", "right"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			return []upcast.Raw{raw.As("left", nil), raw.As("right", nil)}, nil
		},
	})
	require.NoError(t, err)
	cases := map[string]struct {
		options tail.Options
		before  seen // what is there, then what comes
		after   seen
	}{
		"everything":             {tail.Options{}, seen{"a", "b", "old", "x", "pair", "|"}, seen{"noise", "|", "old", "|", "d", "|"}},
		"everything, one by one": {tail.Options{PageRows: 1}, seen{"a", "b", "old", "x", "pair", "|"}, seen{"noise", "|", "old", "|", "d", "|"}},
		"everything, by bytes":   {tail.Options{PageBytes: 1}, seen{"a", "b", "old", "x", "pair", "|"}, seen{"noise", "|", "old", "|", "d", "|"}},
		"what comes":             {tail.Options{After: persistence.Positions{6}}, seen{"|"}, seen{"noise", "|", "old", "|", "d", "|"}},
		"the system's too":       {tail.Options{System: true}, seen{"a", "b", "$", "old", "x", "pair", "|"}, seen{"noise", "|", "old", "|", "d", "|"}},
		"a stream":               {tail.Options{Stream: "a-1"}, seen{"a", "b", "pair", "|"}, seen{"noise", "|", "|", "|"}},
		"a stream of the system": {tail.Options{Stream: "$s-1"}, seen{"$", "|"}, seen{"|", "|", "|"}},
		"a category":             {tail.Options{Category: "a"}, seen{"a", "b", "old", "pair", "|"}, seen{"noise", "|", "old", "|", "|"}},
		"a system's category":    {tail.Options{Category: "$s"}, seen{"$", "|"}, seen{"|", "|", "|"}},
		"a filter":               {tail.Options{Filter: filter.Type().In("old", "d")}, seen{"old", "|"}, seen{"|", "old", "|", "d", "|"}},
		"a filter in a category": {tail.Options{Category: "a", Filter: filter.Type().In("old", "d")}, seen{"old", "|"}, seen{"|", "old", "|", "|"}},
		"a filter of some other": {tail.Options{Category: "a", Filter: opaque{filter.Type().In("old", "d")}}, seen{"old", "|"}, seen{"|", "old", "|", "|"}},
	}
	today := map[string][]string{"old": {"new"}, "noise": {}, "pair": {"left", "right"}}
	for name, c := range cases {
		for kind, open := range opens {
			for _, chained := range []bool{false, true} {
				want := func(stored seen) (all seen) {
					for _, eventType := range stored {
						if results, known := today[eventType]; chained && known {
							all = append(all, results...)
						} else {
							all = append(all, eventType)
						}
					}
					return all
				}
				t.Run(name+", "+kind, func(t *testing.T) {
					t.Parallel()
					synctest.Test(t, func(t *testing.T) {
						journal := memory.New(memory.Config{})
						reader := persistence.Reader(journal)
						if chained {
							reader = upcast.Reader(journal, chain)
						}
						store(t, journal, "a-1", "a", "b")
						store(t, journal, "$s-1", "$")
						store(t, journal, "a-2", "old")
						store(t, journal, "b-1", "x")
						store(t, journal, "a-1", "pair")
						subscription, err := open(t.Context(), reader, c.options)
						require.NoError(t, err)
						ctx, cancel := context.WithCancel(t.Context())
						var got seen
						ended := make(chan error, 1)
						go func() { // ends with ctx, which is awaited below
							for page, err := range subscription.Pages(ctx) {
								if err != nil {
									ended <- err
									return
								}
								got.add(page)
							}
						}()

						synctest.Wait()
						require.Equal(t, want(c.before), got)
						got = nil
						for _, next := range []struct {
							stream    persistence.StreamID
							eventType string
						}{{"a-1", "noise"}, {"a-2", "old"}, {"b-1", "d"}} {
							store(t, journal, next.stream, next.eventType)
							synctest.Wait()
						}
						require.Equal(t, want(c.after), got)

						cancel()
						require.ErrorIs(t, <-ended, context.Canceled)
					})
				})
			}
		}
	}
}

// The events come whole, and a page's place is always behind them.
func TestPageHasWhatIsStored(t *testing.T) {
	t.Parallel()
	for kind, open := range opens {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			journal := memory.New(memory.Config{})
			store(t, journal, "a-1", "a", "b", "c")
			var stored []persistence.Recorded
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
				require.NoError(t, err)
				stored = append(stored, page.Events...)
			}
			subscription, err := open(t.Context(), journal, tail.Options{})
			require.NoError(t, err)

			for range 2 { // ranging again begins again
				var got []persistence.Recorded
				for page, err := range subscription.Pages(t.Context()) {
					require.NoError(t, err)
					got = append(got, page.Events...)
					require.Equal(t, int64(len(got)), page.Next.Of(0).Offset)
					page.Next[0] = 100 // it is the reader's
					if page.AtHead {
						break
					}
				}
				require.Equal(t, stored, got)
			}
			var got []persistence.Recorded
			for recorded, err := range subscription.Events(t.Context()) {
				require.NoError(t, err)
				if got = append(got, recorded); len(got) == 3 {
					break
				}
			}
			require.Equal(t, stored, got)
		})
	}
}

func TestSubscriptionEnds(t *testing.T) {
	t.Parallel()
	errStop := errors.New("stop")
	for kind, open := range opens {
		for name, end := range map[string]func(*memory.Journal, context.CancelCauseFunc){
			"with ctx, which says why":      func(_ *memory.Journal, cancel context.CancelCauseFunc) { cancel(errStop) },
			"with the journal that is away": func(journal *memory.Journal, _ context.CancelCauseFunc) { require.NoError(t, journal.Close()) },
		} {
			t.Run(kind+", "+name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					journal := memory.New(memory.Config{})
					subscription, err := open(t.Context(), journal, tail.Options{})
					require.NoError(t, err)
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					ended := make(chan error, 2)
					go func() { // awaited below
						var last error
						for _, err := range subscription.Events(ctx) {
							last = err
						}
						ended <- last
					}()
					synctest.Wait()

					end(journal, cancel)

					err = <-ended
					if name == "with ctx, which says why" {
						require.ErrorIs(t, err, errStop)
						require.Equal(t, persistence.ErrUnavailable, persistence.ErrorKindOf(err))
					} else {
						require.ErrorIs(t, err, persistence.ErrUnavailable)
					}
					var again error
					for _, err := range subscription.Pages(ctx) {
						again = err
					}
					require.Equal(t, err, again)
				})
			})
		}
	}
}

// A journal that fails because ctx has ended is not what is reported.
func TestEndWhileReading(t *testing.T) {
	t.Parallel()
	errStop := errors.New("stop")
	journal := newParted(1)
	journal.add(0, "a-1", "t")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	subscription, err := tail.Open(t.Context(), failing{journal, func() error {
		cancel(errStop)
		return &persistence.UnavailableError{Reason: "the caller left"}
	}}, tail.Options{})
	require.NoError(t, err)

	for _, err := range subscription.Pages(ctx) {
		require.ErrorIs(t, err, errStop)
		require.Equal(t, persistence.ErrUnavailable, persistence.ErrorKindOf(err))
	}
}

// Nor is a journal that fails because the waiting has ended.
func TestEndWhileWaiting(t *testing.T) {
	t.Parallel()
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	subscription, err := tail.Open(t.Context(), impatient{newParted(1), func() error {
		cancel(errStop)
		return &persistence.UnavailableError{Reason: "the caller left"}
	}}, tail.Options{})
	require.NoError(t, err)

	var last error
	for _, err := range subscription.Pages(ctx) {
		last = err
	}
	require.ErrorIs(t, last, errStop)
	require.Equal(t, persistence.ErrUnavailable, persistence.ErrorKindOf(last))
}

// impatient is a journal that cannot be waited for.
type impatient struct {
	persistence.Reader
	fail func() error
}

func (i impatient) Wait(context.Context, persistence.Positions) error { return i.fail() }

// A follower that has been told that it is at the head is told so again after it has
// been told otherwise.
func TestAtHeadAgain(t *testing.T) {
	t.Parallel()
	at := func(offset int64, atHead bool) persistence.Page {
		return persistence.Page{Next: persistence.Positions{offset}, AtHead: atHead}
	}
	script := []persistence.Page{at(0, true), at(0, true), at(1, true), at(1, true), at(2, false), at(2, true), at(2, true), at(3, true)}
	subscription, err := tail.Open(t.Context(), &sequel{Reader: newParted(1), pages: script}, tail.Options{})
	require.NoError(t, err)

	var got []persistence.Page
	for page, err := range subscription.Pages(t.Context()) {
		require.NoError(t, err)
		if got = append(got, page); page.Next[0] == 3 {
			break
		}
	}

	require.Equal(t, []persistence.Page{at(0, true), at(1, true), at(2, false), at(2, true), at(3, true)}, got)
}

// sequel is a journal that answers with one page after the other.
type sequel struct {
	persistence.Reader
	pages []persistence.Page
}

func (s *sequel) Wait(context.Context, persistence.Positions) error { return nil }

func (s *sequel) ReadAll(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		page := s.pages[0]
		s.pages = s.pages[1:]
		yield(page, nil)
	}
}

// The place that a subscription begins at is its own.
func TestPlaceIsOwn(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	journal.add(0, "a-1", "a")
	journal.add(0, "a-1", "b")
	after := persistence.Positions{1}
	subscription, err := tail.Open(t.Context(), journal, tail.Options{After: after})
	require.NoError(t, err)
	after[0] = 0

	for page, err := range subscription.Pages(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, "b", page.Events[0].Type)
		break
	}
}

// failing is a journal whose pages cannot be read.
type failing struct {
	persistence.Reader
	fail func() error
}

func (f failing) ReadAll(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) { yield(persistence.Page{}, f.fail()) }
}

// While a consumer works nothing of the journal is held, and nothing is read that the
// consumer has not asked for.
func TestSlowConsumer(t *testing.T) {
	t.Parallel()
	for kind, open := range opens {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := newParted(1)
				for range 20 {
					journal.add(0, "a-1", "t")
				}
				subscription, err := open(t.Context(), journal, tail.Options{PageRows: 2})
				require.NoError(t, err)

				taken := 0
				for page, err := range subscription.Pages(t.Context()) {
					require.NoError(t, err)
					taken++
					time.Sleep(time.Hour) // in the bubble
					require.Zero(t, journal.busy, "the journal is held")
					require.LessOrEqual(t, journal.reads, taken)
					if page.AtHead {
						break
					}
				}
				require.Equal(t, 10, taken)
			})
		})
	}
}

// What a journal must never do is found, whoever reads.
func TestBrokenPromise(t *testing.T) {
	t.Parallel()
	at := func(part uint16, offset int64) persistence.Recorded {
		return persistence.Recorded{Event: note("t"), Stream: "a-1", Version: 4, Position: persistence.Position{Part: part, Offset: offset}}
	}
	several := func(sub, count uint16, offset int64) persistence.Recorded {
		recorded := at(0, offset)
		recorded.Sub, recorded.SubCount = sub, count
		return recorded
	}
	cases := map[string]struct {
		page persistence.Page // behind position 3 of partition 0
		want string
	}{
		"in order, with gaps":        {persistence.Page{Events: []persistence.Recorded{at(0, 4), at(0, 9), at(1, 1)}, Next: persistence.Positions{9, 1}}, ""},
		"several that were one":      {persistence.Page{Events: []persistence.Recorded{several(0, 2, 4), several(1, 2, 4), at(0, 5)}, Next: persistence.Positions{5}}, ""},
		"an event that was seen":     {persistence.Page{Events: []persistence.Recorded{at(0, 3)}, Next: persistence.Positions{4}}, "corrupt a-1 at version 4: its position 3 follows position 3 on a page that ends at 4"},
		"an event twice":             {persistence.Page{Events: []persistence.Recorded{at(0, 4), at(0, 4)}, Next: persistence.Positions{4}}, "its position 4 follows position 4"},
		"another order":              {persistence.Page{Events: []persistence.Recorded{at(0, 5), at(0, 4)}, Next: persistence.Positions{5}}, "its position 4 follows position 5"},
		"an event behind the page":   {persistence.Page{Events: []persistence.Recorded{at(0, 5)}, Next: persistence.Positions{4}}, "its position 5 follows position 3 on a page that ends at 4"},
		"behind it elsewhere":        {persistence.Page{Events: []persistence.Recorded{at(1, 1)}, Next: persistence.Positions{4}}, "its position 1:1 follows position 1:0 on a page that ends at 1:0"},
		"a page that goes backward":  {persistence.Page{Next: persistence.Positions{2}}, "corrupt: a page ends before it begins"},
		"one of several that is two": {persistence.Page{Events: []persistence.Recorded{several(0, 3, 4), several(2, 3, 4)}, Next: persistence.Positions{4}}, "its position 4 follows position 4"},
		"the second of a seen event": {persistence.Page{Events: []persistence.Recorded{several(1, 2, 3)}, Next: persistence.Positions{4}}, "its position 3 follows position 3"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := newParted(1)
			for range 3 {
				journal.add(0, "a-1", "t")
			}
			c.page.AtHead = true
			subscription, err := tail.Open(t.Context(), scripted{journal, c.page}, tail.Options{After: persistence.Positions{3}})
			require.NoError(t, err)

			page, err := subscription.Next(t.Context(), persistence.Positions{3})

			if c.want == "" {
				require.NoError(t, err)
				require.Equal(t, c.page, page)
				return
			}
			require.ErrorIs(t, err, persistence.ErrCorrupt)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// scripted is a journal that answers with one page.
type scripted struct {
	persistence.Reader
	page persistence.Page
}

func (s scripted) ReadAll(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) { yield(s.page, nil) }
}

// A journal that has no page at all is at its end.
func TestNoPage(t *testing.T) {
	t.Parallel()
	subscription, err := tail.Open(t.Context(), empty{newParted(1)}, tail.Options{})
	require.NoError(t, err)

	page, err := subscription.Next(t.Context(), persistence.Positions{0})

	require.NoError(t, err)
	require.Equal(t, persistence.Page{Next: persistence.Positions{0}, AtHead: true}, page)
}

type empty struct{ persistence.Reader }

func (empty) ReadAll(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(func(persistence.Page, error) bool) {}
}

// A checkpoint of any page is one to go on from, and costs a reading only where
// the subscription has not seen the event.
func TestSubscriptionCheckpoint(t *testing.T) {
	t.Parallel()
	for kind, open := range opens {
		for _, options := range []tail.Options{{PageRows: 3}, {PageRows: 2, Filter: filter.Type().Eq("odd")}} {
			t.Run(kind, func(t *testing.T) {
				t.Parallel()
				journal := newParted(2)
				var want, got []string
				for i := range 7 {
					journal.add(i%2, "a-1", []string{"odd", "even", "even"}[i%3])
				}
				for _, events := range journal.events {
					for _, e := range events {
						if options.Filter == nil || options.Filter.Match(&e) {
							want = append(want, e.Position.String())
						}
					}
				}

				checkpoint, again := tail.Checkpoint{}, options
				for atHead := false; !atHead; {
					again.Checkpoint = checkpoint
					subscription, err := open(t.Context(), journal, again)
					require.NoError(t, err)
					for page, err := range subscription.Pages(t.Context()) {
						require.NoError(t, err)
						for _, e := range page.Events {
							got = append(got, e.Position.String())
						}
						atHead = page.AtHead
						before := journal.reads
						checkpoint, err = subscription.Checkpoint(t.Context(), page.Next)
						require.NoError(t, err)
						if options.Filter == nil {
							require.Equal(t, before, journal.reads)
						}
						for _, mark := range checkpoint.Marks {
							require.Equal(t, journal.events[mark.Position.Part][mark.Position.Offset-1].ID, mark.EventID)
						}
						before = journal.reads
						twice, err := subscription.Checkpoint(t.Context(), page.Next)
						require.NoError(t, err)
						require.Equal(t, checkpoint, twice)
						require.Equal(t, before, journal.reads)
						break
					}
				}

				require.Equal(t, want, got)
			})
		}
	}
}

// A follower that has caught up through pages that were read for all knows the events
// that it did not choose.
func TestCheckpointFromSharedPages(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	tailer := tail.NewTailer(tail.Config{Reader: journal})
	for range 5 {
		journal.add(0, "a-1", "t")
	}
	subscription, err := tailer.Open(t.Context(), tail.Options{Category: "b"})
	require.NoError(t, err)
	page, err := subscription.Next(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{5}, page.Next)
	reads := journal.reads

	checkpoint, err := subscription.Checkpoint(t.Context(), page.Next)

	require.NoError(t, err)
	require.Equal(t, journal.events[0][4].ID, checkpoint.Marks[0].EventID)
	require.Equal(t, reads, journal.reads)
}
