package tail_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// However many follow, each page is read once, and its events are the same memory
// for all.
func TestTailerReadsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := newParted(1)
		tailer := tail.NewTailer(tail.Config{Reader: journal, PageRows: 4})
		const followers, there, come = 50, 10, 10
		for range there {
			journal.add(0, "a-1", "t")
		}
		together := make(chan struct{}) // closed when all have begun
		journal.before = func(*parted) { <-together }
		ctx, cancel := context.WithCancel(t.Context())
		pages := make([][]persistence.Page, followers)
		var group errgroup.Group
		for i := range followers {
			subscription, err := tailer.Open(ctx, tail.Options{})
			require.NoError(t, err)
			group.Go(func() error {
				for page, err := range subscription.Pages(ctx) {
					if err != nil {
						return err
					}
					pages[i] = append(pages[i], page)
				}
				return nil
			})
		}

		synctest.Wait()
		close(together)
		synctest.Wait()
		for range come {
			journal.add(0, "a-1", "t")
			synctest.Wait()
		}
		cancel()

		require.ErrorIs(t, group.Wait(), context.Canceled)
		require.Equal(t, 3+come, journal.reads)
		for i := range pages {
			require.Len(t, pages[i], 3+come)
			for k, page := range pages[i] {
				require.Same(t, &pages[0][k].Events[0], &page.Events[0])
				page.Next[0] = -1 // but a place is everybody's own
			}
		}
	})
}

// The one who reads for all may leave at any time; another one goes on.
func TestLeaderLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := newParted(1)
		tailer := tail.NewTailer(tail.Config{Reader: journal})
		const followers = 10
		cancels := make([]context.CancelFunc, followers)
		counts := make([]int, followers)
		var group errgroup.Group
		for i := range followers {
			var ctx context.Context
			ctx, cancels[i] = context.WithCancel(t.Context())
			subscription, err := tailer.Open(ctx, tail.Options{})
			require.NoError(t, err)
			group.Go(func() error {
				for _, err := range subscription.Events(ctx) {
					if err != nil {
						return nil // it has left, as it should
					}
					counts[i]++
				}
				return nil
			})
		}

		for i := range followers {
			journal.add(0, "a-1", "t")
			synctest.Wait()
			cancels[i]()
			synctest.Wait()
		}

		require.NoError(t, group.Wait())
		for i := range followers {
			require.Equal(t, i+1, counts[i])
		}
		require.LessOrEqual(t, journal.reads, 1+followers)
	})
}

// A consumer who works for long loses nothing, and keeps nobody else waiting.
func TestSlowSubscriber(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := memory.New(memory.Config{})
		tailer := tail.NewTailer(tail.Config{Reader: journal, Bytes: 2000})
		const events = 200
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		start := time.Now()
		var group errgroup.Group
		var latest time.Duration
		for _, pause := range []time.Duration{0, 7 * time.Second} {
			subscription, err := tailer.Open(ctx, tail.Options{PageRows: 3})
			require.NoError(t, err)
			group.Go(func() error {
				count := int64(0)
				for recorded, err := range subscription.Events(ctx) {
					if err != nil {
						return err
					}
					if count++; recorded.Position.Offset != count {
						return fmt.Errorf("position %s after %d", recorded.Position, count-1)
					}
					if pause == 0 {
						latest = max(latest, time.Since(start)-time.Duration(count-1)*time.Second)
					}
					time.Sleep(pause) // in the bubble
					if count == events {
						return nil
					}
				}
				return errors.New("it has ended early")
			})
		}
		for range events {
			store(t, journal, "a-1", "t")
			time.Sleep(time.Second) // in the bubble
		}

		require.NoError(t, group.Wait())
		require.Zero(t, latest, "the quick one has waited for the slow one")
		require.Equal(t, events*7*time.Second, time.Since(start))
		_, bytes := tailer.Kept()
		require.LessOrEqual(t, bytes, 2000)
	})
}

// What is kept is bounded, the newest page apart.
func TestTailerKeeps(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	tailer := tail.NewTailer(tail.Config{Reader: journal, Bytes: 10_000})
	subscription, err := tailer.Open(t.Context(), tail.Options{})
	require.NoError(t, err)
	f := by(t, subscription)
	for i := range 100 {
		journal.add(0, "a-1", persistence.TypeGone)
		require.NoError(t, f.wait(f.at))
		f.drain(t)
		require.True(t, f.atHead(journal))
		pages, bytes := tailer.Kept()
		require.LessOrEqual(t, bytes, 10_000)
		require.LessOrEqual(t, pages, 10_000/256, "pages without events are not free")
		require.GreaterOrEqual(t, pages, min(i, 30))
	}

	tailer = tail.NewTailer(tail.Config{Reader: journal, Bytes: 1})
	subscription, err = tailer.Open(t.Context(), tail.Options{})
	require.NoError(t, err)
	_, err = subscription.Next(t.Context(), nil)
	require.NoError(t, err)
	pages, _ := tailer.Kept()
	require.Equal(t, 1, pages)
}

// Two subscribers who come to the end at the same time read one page, not two.
func TestQuickerSubscriber(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	journal.add(0, "a-1", "a")
	tailer := tail.NewTailer(tail.Config{Reader: journal})
	subscription, err := tailer.Open(t.Context(), tail.Options{})
	require.NoError(t, err)
	late := tailer.Late(t.Context(), nil)
	_, err = subscription.Next(t.Context(), nil)
	require.NoError(t, err)

	for range 100 { // it chooses between two ways by chance
		require.NoError(t, late())
	}

	require.Equal(t, 1, journal.reads)
	pages, _ := tailer.Kept()
	require.Equal(t, 1, pages)
}

// What a tailer says of the head is right for each place: for those in the middle
// of what it keeps, at its end, and beyond.
func TestTailerAtHead(t *testing.T) {
	t.Parallel()
	for name, options := range map[string]tail.Options{"whole pages": {}, "parts of pages": {Filter: filter.Type().Eq("t")}} {
		journal := newParted(1)
		add := func(events int) {
			for range events {
				journal.add(0, "a-1", "t")
			}
		}
		tailer := tail.NewTailer(tail.Config{Reader: journal, PageRows: 2})
		subscription, err := tailer.Open(t.Context(), options)
		require.NoError(t, err)
		next := func(at int64) (events int, atHead bool) {
			page, err := subscription.Next(t.Context(), persistence.Positions{at})
			require.NoError(t, err, name)
			return len(page.Events), page.AtHead
		}
		add(4)
		f := by(t, subscription)
		f.drain(t)

		events, atHead := next(0)
		require.Equal(t, 2, events)
		require.False(t, atHead, "there are two more")
		events, atHead = next(2)
		require.Equal(t, 2, events)
		require.True(t, atHead)
		events, atHead = next(4)
		require.Zero(t, events)
		require.True(t, atHead)

		add(5)
		require.NoError(t, f.wait(f.at))
		events, atHead = next(4)
		require.Equal(t, 2, events)
		require.False(t, atHead, "there are three more")
		f.drain(t)
		require.True(t, f.atHead(journal))

		// Somebody who has been elsewhere is ahead of what is kept.
		_, before := tailer.Kept()
		add(3)
		events, atHead = next(10)
		require.Equal(t, 2, events)
		require.True(t, atHead)
		_, after := tailer.Kept()
		require.Less(t, after, before, "what was kept for others still counts")
	}
}

// A subscriber's own bounds hold for pages that were read for all.
func TestBoundsOfSharedPages(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	for range 6 {
		journal.add(0, "a-1", "t")
	}
	tailer := tail.NewTailer(tail.Config{Reader: journal})
	for name, c := range map[string]struct {
		options tail.Options
		want    int
	}{
		"none":           {tail.Options{}, 6},
		"rows":           {tail.Options{PageRows: 4}, 4},
		"bytes":          {tail.Options{PageBytes: 600}, 2},
		"less than one":  {tail.Options{PageBytes: 1}, 1},
		"exactly enough": {tail.Options{PageRows: 6}, 6},
	} {
		subscription, err := tailer.Open(t.Context(), c.options)
		require.NoError(t, err)

		page, err := subscription.Next(t.Context(), nil)

		require.NoError(t, err)
		require.Len(t, page.Events, c.want, name)
		require.Equal(t, persistence.Positions{int64(c.want)}, page.Next)
		require.Equal(t, c.want == 6, page.AtHead)
	}
	require.Equal(t, 1, journal.reads)
}

// Without bounds of its own it has the defaults.
func TestTailerDefaults(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	for range persistence.DefaultPageRows + 1 {
		journal.add(0, "a-1", "t")
	}
	tailer := tail.NewTailer(tail.Config{Reader: journal, Bytes: -1, PageRows: -1})
	subscription, err := tailer.Open(t.Context(), tail.Options{PageRows: persistence.MaxPageRows})
	require.NoError(t, err)

	page, err := subscription.Next(t.Context(), nil)

	require.NoError(t, err)
	require.Len(t, page.Events, persistence.DefaultPageRows)
	require.False(t, page.AtHead)
}

// Filters choose among the events as they are stored, also in pages that are read
// for all.
func TestTailerFiltersWhatIsStored(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Rename("old", "new"))
	require.NoError(t, err)
	journal := newParted(1)
	journal.add(0, "a-1", "old")
	journal.add(0, "a-1", "new")
	tailer := tail.NewTailer(tail.Config{Reader: upcast.Reader(journal, chain)})
	for eventType, want := range map[string]int64{"old": 1, "new": 2} {
		subscription, err := tailer.Open(t.Context(), tail.Options{Filter: filter.Type().Eq(eventType)})
		require.NoError(t, err)

		page, err := subscription.Next(t.Context(), nil)

		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, "new", page.Events[0].Type)
		require.Equal(t, want, page.Events[0].Position.Offset)
	}
	require.Equal(t, 1, journal.reads)
}

// An event that cannot be upcast stops those who want it, behind what comes before
// it, and nobody else.
func TestTailerCannotUpcast(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Upcaster{From: "riddle", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { return nil, errors.New("nobody knows") }})
	require.NoError(t, err)
	journal := newParted(1)
	for _, eventType := range []string{"t", "t", "riddle", "t"} {
		journal.add(0, "a-1", eventType)
	}
	tailer := tail.NewTailer(tail.Config{Reader: upcast.Reader(journal, chain)})
	open := func(options tail.Options) *tail.Subscription {
		subscription, err := tailer.Open(t.Context(), options)
		require.NoError(t, err)
		return subscription
	}

	page, err := open(tail.Options{}).Next(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Events, 2)
	require.Equal(t, persistence.Positions{2}, page.Next)
	require.False(t, page.AtHead)
	_, err = open(tail.Options{}).Next(t.Context(), page.Next)
	require.ErrorIs(t, err, persistence.ErrCorrupt)

	page, err = open(tail.Options{Filter: filter.Type().Eq("t")}).Next(t.Context(), nil)
	require.NoError(t, err)
	require.Len(t, page.Events, 3)
	require.True(t, page.AtHead)
}

// An event that appears behind a reader is a broken promise; one that was
// scavenged is not.
func TestLateEvent(t *testing.T) {
	t.Parallel()
	prepare := func(hidden string) *parted {
		journal := newParted(2)
		for _, eventType := range []string{"a", hidden, "c"} {
			journal.add(0, "a-1", eventType)
			journal.add(1, "a-1", eventType)
		}
		return journal
	}
	next := func(journal persistence.Reader) (persistence.Page, error) {
		subscription, err := tail.NewTailer(tail.Config{Reader: journal}).Open(t.Context(), tail.Options{})
		require.NoError(t, err)
		return subscription.Next(t.Context(), nil)
	}

	t.Run("scavenged", func(t *testing.T) {
		t.Parallel()
		journal := prepare(persistence.TypeGone)

		page, err := next(journal)

		require.NoError(t, err)
		require.Equal(t, map[uint16][]string{0: {"1.0 a", "3.0 c"}, 1: {"1.0 a", "3.0 c"}}, positions(page.Events))
		require.Equal(t, 2, journal.reads, "it has looked again")
	})
	t.Run("nothing is missing", func(t *testing.T) {
		t.Parallel()
		journal := prepare("b")

		_, err := next(journal)

		require.NoError(t, err)
		require.Equal(t, 1, journal.reads)
	})
	t.Run("committed late", func(t *testing.T) {
		t.Parallel()
		journal := prepare(persistence.TypeGone)
		journal.before = func(j *parted) {
			if j.reads == 1 {
				j.events[1][1].Type = "b"
			}
		}

		_, err := next(journal)

		require.ErrorIs(t, err, persistence.ErrCorrupt)
		require.ErrorContains(t, err, "it appeared behind what had been read, at position 1:2")
	})
	t.Run("more has come meanwhile", func(t *testing.T) {
		t.Parallel()
		journal := prepare(persistence.TypeGone)
		journal.before = func(j *parted) {
			if j.reads == 1 {
				j.store(0, "a-1", "d")
			}
		}

		page, err := next(journal)

		require.NoError(t, err)
		require.Equal(t, persistence.Positions{3, 3}, page.Next)
	})
	t.Run("it cannot be looked at again", func(t *testing.T) {
		t.Parallel()
		journal := prepare(persistence.TypeGone)
		errAway := errors.New("away")

		_, err := next(second{journal, errAway})

		require.Equal(t, errAway, err)
	})
	t.Run("another order", func(t *testing.T) {
		t.Parallel()
		journal := newParted(1)
		e := persistence.Recorded{Position: persistence.Position{Offset: 1}}

		_, err := next(scripted{journal, persistence.Page{Events: []persistence.Recorded{e, e}, Next: persistence.Positions{2}}})

		require.ErrorIs(t, err, persistence.ErrCorrupt)
	})
}

// TestFollowersAgree has subscribers of all kinds take pages in any order while a
// journal of several partitions grows: each sees what it wants, once and in order.
func TestFollowersAgree(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Drop("drop"), upcast.Rename("old", "new"), upcast.Upcaster{
		From: "pair", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{raw, raw}, nil },
	})
	require.NoError(t, err)
	types := []string{"t", "t", "u", "old", "pair", "drop", persistence.TypeGone}
	streams := []persistence.StreamID{"a-1", "a-2", "b-1", "$s-1"}
	rapid.Check(t, func(t *rapid.T) {
		parts := rapid.IntRange(1, 3).Draw(t, "parts")
		journal := newParted(parts)
		reader := persistence.Reader(journal)
		if rapid.Bool().Draw(t, "upcast") {
			reader = upcast.Reader(journal, chain)
		}
		tailer := tail.NewTailer(tail.Config{Reader: reader, PageRows: rapid.IntRange(1, 6).Draw(t, "shared rows"), Bytes: rapid.IntRange(1, 8000).Draw(t, "bytes")})
		draw := rapid.Custom(func(t *rapid.T) tail.Options {
			o := tail.Options{PageRows: rapid.IntRange(1, 6).Draw(t, "rows"), System: rapid.Bool().Draw(t, "system")}
			switch rapid.IntRange(0, 3).Draw(t, "scope") {
			case 0:
				o.Stream = rapid.SampledFrom(streams).Draw(t, "stream")
			case 1:
				o.Category = rapid.SampledFrom([]string{"a", "b", "$s"}).Draw(t, "category")
			case 2:
				o.Filter = filter.Type().In("t", "old")
			}
			if rapid.Bool().Draw(t, "by bytes") {
				o.PageBytes = rapid.IntRange(1, 1000).Draw(t, "page bytes")
			}
			return o
		})
		var followers []*follow
		var options []tail.Options
		t.Repeat(map[string]func(*rapid.T){
			"append": func(t *rapid.T) {
				for range rapid.IntRange(1, 5).Draw(t, "events") {
					journal.add(rapid.IntRange(0, parts-1).Draw(t, "part"), rapid.SampledFrom(streams).Draw(t, "stream"), rapid.SampledFrom(types).Draw(t, "type"))
				}
			},
			"come": func(t *rapid.T) {
				o := draw.Draw(t, "options")
				subscription, err := tailer.Open(t.Context(), o)
				require.NoError(t, err)
				options = append(options, o)
				followers = append(followers, by(t, subscription))
			},
			"step": func(t *rapid.T) {
				if len(followers) > 0 {
					rapid.SampledFrom(followers).Draw(t, "follower").step(t)
				}
			},
			"wake": func(t *rapid.T) {
				if len(followers) == 0 {
					return
				}
				f := rapid.SampledFrom(followers).Draw(t, "follower")
				if !f.atHead(journal) { // or else it would wait
					require.NoError(t, f.wait(f.at))
				}
			},
		})

		for i, f := range followers {
			// What a tailer knows of the head is from when it was last waited for.
			for f.drain(t); !f.atHead(journal); f.drain(t) {
				require.NoError(t, f.wait(f.at))
			}
			want, err := tail.Open(t.Context(), reader, options[i])
			require.NoError(t, err)
			alone := by(t, want)
			alone.drain(t)
			require.Equal(t, positions(alone.seen), positions(f.seen), "%+v", options[i])
			require.Equal(t, alone.at, f.at)
		}
	})
}

// TestNobodyMissesAnything is the whole in motion: writers who append at once and
// subscribers of every kind who follow, each at its own pace.
func TestNobodyMissesAnything(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := memory.New(memory.Config{})
		const writers, appends = 16, 40
		types := []string{"t", "u", "old"}
		chain, err := upcast.New(upcast.Rename("old", "new"))
		require.NoError(t, err)
		tailers := []*tail.Tailer{
			tail.NewTailer(tail.Config{Reader: journal}),
			tail.NewTailer(tail.Config{Reader: journal, PageRows: 3, Bytes: 4000}),
			tail.NewTailer(tail.Config{Reader: upcast.Reader(journal, chain), PageRows: 16, Bytes: 20_000}),
		}
		kinds := []tail.Options{
			{},
			{PageRows: 1},
			{PageRows: 7},
			{PageBytes: 600},
			{Stream: "a-1"},
			{Category: "a"},
			{Category: "b", PageRows: 2},
			{Filter: filter.Type().Eq("u")},
			{Category: "a", Filter: filter.Type().Ne("u")},
			{Filter: opaque{filter.Version().Ge(10)}},
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		type following struct {
			options tail.Options
			seen    []persistence.Recorded
		}
		var all []*following
		var readers, group errgroup.Group
		for _, options := range kinds {
			for source := range len(tailers) + 1 {
				for _, pause := range []time.Duration{0, time.Millisecond, 50 * time.Millisecond} {
					f := &following{options: options}
					all = append(all, f)
					readers.Go(func() error {
						time.Sleep(pause * 3) // in the bubble: some come late
						subscription, err := tail.Open(ctx, journal, options)
						if source < len(tailers) {
							subscription, err = tailers[source].Open(ctx, options)
						}
						if err != nil {
							return err
						}
						for page, err := range subscription.Pages(ctx) {
							if errors.Is(err, context.Canceled) {
								return nil
							}
							if err != nil {
								return err
							}
							f.seen = append(f.seen, page.Events...)
							time.Sleep(pause) // in the bubble
						}
						return errors.New("the pages have ended")
					})
				}
			}
		}
		for writer := range writers {
			group.Go(func() error {
				random := rand.New(rand.NewPCG(1, uint64(writer)))
				for range appends {
					time.Sleep(time.Duration(random.IntN(3)) * time.Millisecond) // in the bubble
					stream := persistence.StreamID(fmt.Sprintf("%s-%d", []string{"a", "b", "c"}[writer%3], random.IntN(3)))
					events := make([]persistence.Event, 1+random.IntN(4))
					for i := range events {
						events[i] = note(types[random.IntN(len(types))])
					}
					outcomes, err := journal.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Any, Events: events})
					if err == nil {
						err = outcomes[0].Err
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		}
		require.NoError(t, group.Wait())
		time.Sleep(time.Hour) // in the bubble: everybody has caught up
		cancel()
		require.NoError(t, readers.Wait())

		for _, f := range all {
			wants, err := tail.Wants(f.options)
			require.NoError(t, err)
			var want []string
			for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: wants}) {
				require.NoError(t, err)
				for _, e := range page.Events {
					want = append(want, e.ID.String())
				}
			}
			var got []string
			for _, e := range f.seen {
				got = append(got, e.ID.String())
			}
			require.NotEmpty(t, want)
			require.True(t, slices.Equal(want, got), "%+v: %d events of %d", f.options, len(got), len(want))
		}
	})
}

// overheard notes how a journal is read.
type overheard struct {
	persistence.Reader
	filtered, whole int // pages, of one or several readers who take turns
}

func (o *overheard) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	if options.Filter != nil {
		o.filtered++
	} else {
		o.whole++
	}
	return o.Reader.ReadAll(ctx, options)
}

// A follower that is alone with a long way before it reads what it chooses, and no page
// for others; but it tells the others where the end is.
func TestFollowerAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		stored := memory.New(memory.Config{})
		const events, rare = 10_000, 100
		for i := range events {
			stream := persistence.StreamID("often-1")
			if i%rare == 0 {
				stream = "rare-1"
			}
			_, err := stored.Append(t.Context(), persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{{Type: "t"}}})
			require.NoError(t, err)
		}
		journal := &overheard{Reader: stored}
		tailer := tail.NewTailer(tail.Config{Reader: journal})
		seen, arrived := map[string]int{}, map[string]bool{}
		var group errgroup.Group
		ctx, cancel := context.WithCancel(t.Context())
		follow := func(name string, options tail.Options) {
			subscription, err := tailer.Open(ctx, options)
			require.NoError(t, err)
			group.Go(func() error {
				for page, err := range subscription.Pages(ctx) {
					if err != nil {
						return err
					}
					seen[name] += len(page.Events)
					arrived[name] = arrived[name] || page.AtHead
				}
				return nil
			})
			synctest.Wait()
		}

		follow("rare", tail.Options{Category: "rare"})
		require.Equal(t, events/rare, seen["rare"])
		require.True(t, arrived["rare"])
		require.Less(t, journal.filtered, 5)
		require.Less(t, journal.whole, 5)
		pages, _ := tailer.Kept()
		require.Equal(t, 1, pages)

		follow("all", tail.Options{})
		require.Equal(t, events, seen["all"])
		require.True(t, arrived["all"])
		head, err := stored.Head(ctx)
		require.NoError(t, err)
		follow("new", tail.Options{After: head})
		require.True(t, arrived["new"], "the others wait for what comes")

		cancel()
		require.ErrorIs(t, group.Wait(), context.Canceled)
	})
}
