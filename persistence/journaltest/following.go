package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

var following = cases{
	"a reader that follows the sequence misses nothing":              followSequence,
	"a reader that follows a tag misses nothing":                     followTag,
	"readers see a stream grow and never shrink while it is written": followStream,
}

// followSequence lets readers remember their place and continue there while writers
// commit. An event that commits late must not appear behind them.
func followSequence(t *testing.T, s suite) {
	j := s.open(t)
	const writers, attempts = 16, 20
	var l ledger
	var group errgroup.Group
	total := 0
	for attempt := range attempts {
		total += writers * (1 + attempt%3)
	}

	for writer := range writers {
		group.Go(func() error {
			for attempt := range attempts {
				outcome := l.attempt(j, sharedStream(writer), persistence.Any, labelled(writer, attempt, 1+attempt%3)...)
				if outcome.Err != nil {
					return outcome.Err
				}
			}
			return nil
		})
	}
	followed := make([][]persistence.Recorded, 3)
	for reader := range followed {
		group.Go(func() (err error) {
			followed[reader], err = followTo(j, total, []int{1, 5, 0}[reader])
			return err
		})
	}

	require.NoError(t, group.Wait())
	l.verify(j)
	all := j.all()
	for _, events := range followed {
		require.True(t, samePlain(all, events), "a follower sees the same sequence as a later reader")
	}
}

// followTo follows the sequence until it has seen total events.
func followTo(j journal, total, rows int) ([]persistence.Recorded, error) {
	var at persistence.Positions
	var events []persistence.Recorded
	for len(events) < total {
		if err := j.Wait(j.ctx, at); err != nil {
			return events, fmt.Errorf("after %d of %d events: %w", len(events), total, err)
		}
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{After: at, PageRows: rows, System: true}) {
			if err != nil {
				return events, err
			}
			for _, recorded := range page.Events {
				if last := at.Of(recorded.Position.Part).Offset; recorded.Position.Offset != last+1 {
					return events, fmt.Errorf("position %s follows %d", recorded.Position, last)
				}
				at = at.With(recorded.Position)
				events = append(events, recorded)
			}
			if !samePlace(at, page.Next) {
				return events, fmt.Errorf("the next place %v is not that of the last event %v", page.Next, at)
			}
		}
	}
	return events, nil
}

// followTag lets readers of a tag remember their place while writers commit events with
// and without the tag. A place must not lie beyond an event that was not seen. The
// readers catch up after each round, so that they are at the head when the next round is
// written.
func followTag(t *testing.T, s suite) {
	j := s.open(t)
	const writers, rounds, each = 8, 20, 3
	byTag := filter.Tag().In("followed", "missing")
	readers, ctx := errgroup.WithContext(j.ctx)
	seen := make([]chan struct{}, 3)
	for reader := range seen {
		seen[reader] = make(chan struct{}, writers*rounds)
		readers.Go(func() error {
			return followFiltered(j, byTag, writers*rounds, []int{1, 7, 0}[reader], func() { seen[reader] <- struct{}{} })
		})
	}

	for round := range rounds {
		var group errgroup.Group
		for writer := range writers {
			group.Go(func() error {
				event := tagged("followed", fmt.Sprint(writer))
				outcomes, err := j.Append(j.ctx,
					to(persistence.StreamID(fmt.Sprintf("tagged-%d", writer)), persistence.Any, note("before"), event, note("after")),
					to("plain-1", persistence.Any, notes(fmt.Sprint(round), each)...))
				if err == nil {
					err = errors.Join(outcomes[0].Err, outcomes[1].Err)
				}
				return err
			})
		}
		require.NoError(t, group.Wait())
		for _, reader := range seen {
			for range writers {
				select {
				case <-reader:
				case <-ctx.Done(): // a reader has failed, and says why below
				}
			}
		}
	}

	require.NoError(t, readers.Wait())
	require.Len(t, j.follow(persistence.ReadAllOptions{Filter: byTag}), writers*rounds)
}

// followFiltered follows the events that a filter chooses until it has seen total of them,
// and reports each. They must come in order and once.
func followFiltered(j journal, f filter.Filter, total, rows int, report func()) error {
	var at, last persistence.Positions
	for seen := 0; seen < total; {
		if err := j.Wait(j.ctx, at); err != nil {
			return fmt.Errorf("after %d of %d events: %w", seen, total, err)
		}
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{After: at, PageRows: rows, Filter: f}) {
			if err != nil {
				return err
			}
			for _, recorded := range page.Events {
				if last.Covers(recorded.Position) || at.Covers(recorded.Position) {
					return fmt.Errorf("position %s comes after %v, from %v", recorded.Position, last, at)
				}
				last = last.With(recorded.Position)
				seen++
				report()
			}
			at = page.Next
		}
	}
	return nil
}

// followStream reads a stream again and again while it is written.
func followStream(t *testing.T, s suite) {
	j := s.open(t)
	const appends, size = 30, 3
	var group errgroup.Group
	group.Go(func() error {
		for i := range appends {
			outcomes, err := j.Append(j.ctx, persistence.Append{Stream: "grows-1", Expected: persistence.Exact(persistence.Version(size * i)), Events: notes(fmt.Sprint(i), size)})
			if err == nil {
				err = outcomes[0].Err
			}
			if err != nil {
				return fmt.Errorf("append %d: %w", i, err)
			}
		}
		return nil
	})
	for range 2 {
		group.Go(func() error { return watchStream(j, "grows-1", appends*size, size) })
	}

	require.NoError(t, group.Wait())
	require.Len(t, j.events("grows-1"), appends*size)
}

// watchStream reads a stream again and again until it has total events. Each reading must
// show whole appends.
func watchStream(j journal, stream persistence.StreamID, total, size int) error {
	for seen := 0; seen < total; {
		if _, err := j.Stream(j.ctx, stream); err != nil {
			if err := j.Wait(j.ctx, nil); err != nil {
				return err
			}
			continue
		}
		events, err := j.read(stream, persistence.ReadOptions{})
		if err != nil {
			return err
		}
		if len(events) < seen || len(events)%size != 0 {
			return fmt.Errorf("%d events after %d", len(events), seen)
		}
		for i := range events {
			if events[i].Version != persistence.Version(i+1) {
				return fmt.Errorf("version %d at place %d", events[i].Version, i)
			}
		}
		seen = len(events)
	}
	return nil
}
