package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// measureNodes measures what the order costs when many nodes append to one journal,
// each a batch at a time to a stream of its own.
func measureNodes(ctx context.Context, s *session) (err error) {
	store, ok := s.store.(store.Slower)
	if !ok {
		return nil
	}
	slow, possible, err := store.Slower(ctx)
	if err != nil || !possible {
		return err
	}
	defer func() { err = errors.Join(err, slow.Close(context.WithoutCancel(ctx))) }()
	// Journals find out by themselves that they are several, and change what they do.
	if _, err := together(ctx, s, slow, 1, 3*s.scale.window); err != nil {
		return err
	}
	for _, batch := range []int{1, 100} {
		ours := func() (load.Result, error) { return together(ctx, s, slow, batch, s.scale.window) }
		ceiling := func() (load.Result, error) { return slow.Unordered(ctx, s.scale.nodes, batch, s.scale.window) }
		rounds, err := measure.Beside(s.Sheet, ours, ceiling)
		if err != nil {
			return fmt.Errorf("batches of %d: %w", batch, err)
		}
		s.Against(measure.Metric{
			Name: fmt.Sprintf("nodes-%d-batch-%d-vs-unordered", s.scale.nodes, batch), Unit: "events/s", Aim: measure.AtLeast(0.7),
			Is: fmt.Sprintf("events/s of %d nodes on one journal, divided by rows/s of as many connections that keep no order", s.scale.nodes),
		}, measure.Compared(rounds[0], load.Result.Rate))
	}
	return nil
}

// together lets every node append to one journal.
func together(ctx context.Context, s *session, slow store.Shared, batch int, window time.Duration) (l load.Result, err error) {
	const space = "nodes"
	var journals []store.Journal
	defer func() {
		for _, j := range journals {
			err = errors.Join(err, j.Close())
		}
		err = errors.Join(err, slow.Drop(context.WithoutCancel(ctx), space))
	}()
	writers := make([]load.Writer, s.scale.nodes)
	for i := range writers {
		j, err := slow.Open(ctx, space)
		if err != nil {
			return load.Result{}, err
		}
		journals = append(journals, j)
		writers[i] = load.NewWriter(j, load.NewLanes(fmt.Sprint("node-", i), 1), func(l *load.Lane) persistence.Append {
			events := make([]persistence.Event, batch)
			for k := range events {
				events[k] = s.rows.Event(l)
			}
			return l.Exactly(events...)
		})
		if err := writers[i].Append(0); err != nil {
			return load.Result{}, err
		}
	}
	l, err = load.ClosedLoop(len(writers), window, func(caller, i int) error { return writers[caller].Append(i) })
	l.Count *= batch
	return l, err
}
