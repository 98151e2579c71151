package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
)

// slower is a store that can have one like itself in which a flush takes a
// millisecond longer: so long that writers who wait for each other show.
type slower interface {
	// slower reports false where there can be none.
	slower(ctx context.Context) (shared, bool, error)
}

// shared is a store whose journals several nodes can have open at once.
type shared interface {
	// open opens the journal of a space for one more node.
	open(ctx context.Context, space string) (journal, error)
	drop(ctx context.Context, space string) error
	// unordered lets as many connections as there are nodes insert the rows of their
	// appends, a commit for each batch, and nobody waits for anybody's order.
	unordered(ctx context.Context, nodes, batch int, window time.Duration) (load, error)
	close(ctx context.Context) error
}

// measureNodes measures what the order costs when many nodes append to one journal,
// each a batch at a time to a stream of its own.
func (s *session) measureNodes(rows *rows) (err error) {
	store, ok := s.store.(slower)
	if !ok {
		return nil
	}
	slow, possible, err := store.slower(s.ctx)
	if err != nil || !possible {
		return err
	}
	defer func() { err = errors.Join(err, slow.close(context.WithoutCancel(s.ctx))) }()
	// Journals find out by themselves that they are several, and change what they do.
	if _, err := s.together(slow, rows, 1, 3*s.scale.window); err != nil {
		return err
	}
	for _, batch := range []int{1, 100} {
		ours := func() (load, error) { return s.together(slow, rows, batch, s.scale.window) }
		ceiling := func() (load, error) { return slow.unordered(s.ctx, s.scale.nodes, batch, s.scale.window) }
		rounds, err := beside(s, ours, ceiling)
		if err != nil {
			return fmt.Errorf("batches of %d: %w", batch, err)
		}
		s.against(fmt.Sprintf("nodes-%d-batch-%d-vs-unordered", s.scale.nodes, batch), compared(rounds[0], load.rate), "events/s", atLeast(0.7))
	}
	return nil
}

// together lets every node append to one journal.
func (s *session) together(slow shared, rows *rows, batch int, window time.Duration) (l load, err error) {
	const space = "nodes"
	var journals []journal
	defer func() {
		for _, j := range journals {
			err = errors.Join(err, j.Close())
		}
		err = errors.Join(err, slow.drop(context.WithoutCancel(s.ctx), space))
	}()
	writers := make([]writer, s.scale.nodes)
	for i := range writers {
		j, err := slow.open(s.ctx, space)
		if err != nil {
			return load{}, err
		}
		journals = append(journals, j)
		writers[i] = newWriter(j, newLanes(fmt.Sprint("node-", i), 1), func(l *lane) persistence.Append {
			events := make([]persistence.Event, batch)
			for k := range events {
				events[k] = rows.event(l)
			}
			return l.exactly(events...)
		})
		if err := writers[i].append(0); err != nil {
			return load{}, err
		}
	}
	l, err = closedLoop(len(writers), window, func(caller, i int) error { return writers[caller].append(i) })
	l.count *= batch
	return l, err
}
