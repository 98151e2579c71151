package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Sizes of what is read.
const (
	eventsEach  = 10   // events of a stream
	wave        = 1000 // streams that are written to at the same time
	replayBatch = 32   // streams read in one call, as the runtime does
	replayers   = 4
)

// measureReads measures the tail, which reads the global sequence, and the
// replay, which reads stream by stream, beside one plain SELECT of all rows.
func (s *session) measureReads(rows *rows) (err error) {
	const space = "read"
	j, err := s.store.open(s.ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.drop(context.WithoutCancel(s.ctx), space))
	}()
	if err := fill(j, "bench", s.scale.read, rows.event); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	for _, read := range []struct {
		metric string
		all    func() (int, error)
		aim    aim
	}{
		{"tail-1000", func() (int, error) { return s.tail(j, 1000) }, atLeast(0.75)},
		{"tail-512", func() (int, error) { return s.tail(j, 512) }, atLeast(0.75)},
		{"replay", func() (int, error) { return s.replay(j) }, atLeast(0.25)},
	} {
		ours := s.reading(read.all)
		if err := s.besideScan(read.metric, space, ours, read.aim); err != nil {
			return fmt.Errorf("%s: %w", read.metric, err)
		}
	}
	return nil
}

// besideScan compares a rate of events with that of reading the rows of a space
// without the journal, where the store can.
func (s *session) besideScan(metric, space string, ours sample[float64], a aim) error {
	store, ok := s.store.(scanner)
	if !ok {
		rates, err := alone(s, ours)
		if err != nil {
			return err
		}
		s.middle(metric, rates, "events/s", none)
		return nil
	}
	rounds, err := beside(s, ours, s.reading(func() (int, error) { return store.scan(s.ctx, space) }))
	if err != nil {
		return err
	}
	s.against(metric+"-vs-select", compared(rounds[0], identity), "events/s", a)
	return nil
}

// fill writes ten events to every stream. They lie between those of a thousand
// others, as the events of aggregates that live at the same time.
func fill(j journal, prefix string, streams int, event func(*lane) persistence.Event) error {
	lanes := newLanes(prefix, streams)
	for len(lanes) > 0 {
		n := min(wave, len(lanes))
		if _, err := pump(j, lanes[:n], event, upTo(eventsEach)); err != nil {
			return err
		}
		lanes = lanes[n:]
	}
	return nil
}

// reading makes a sample of reading everything, over and over for a time.
func (s *session) reading(all func() (int, error)) sample[float64] {
	return func() (float64, error) {
		l := load{}
		start := time.Now()
		for l.elapsed < s.scale.window/2 {
			n, err := all()
			if err != nil {
				return 0, err
			}
			l.count += n
			l.elapsed = time.Since(start)
		}
		return l.rate(), nil
	}
}

// tail reads the global sequence in pages of so many rows.
func (s *session) tail(j journal, rows int) (count int, err error) {
	for page, err := range j.ReadAll(s.ctx, persistence.ReadAllOptions{PageRows: rows}) {
		if err != nil {
			return count, err
		}
		count += len(page.Events)
	}
	return count, s.complete(count)
}

func (s *session) complete(count int) error {
	if want := s.scale.read * eventsEach; count != want {
		return fmt.Errorf("read %d events of %d", count, want)
	}
	return nil
}

func (s *session) replay(j journal) (int, error) {
	batches := (s.scale.read + replayBatch - 1) / replayBatch
	var events atomic.Int64
	_, err := once(replayers, batches, func(batch int) error {
		var requests []persistence.PageRequest
		for i := batch * replayBatch; i < min((batch+1)*replayBatch, s.scale.read); i++ {
			requests = append(requests, persistence.PageRequest{Stream: streamName("bench", i), From: 1, Limit: 100})
		}
		pages, err := j.ReadPages(s.ctx, requests)
		for i := range pages {
			err = errors.Join(err, pages[i].Err)
			events.Add(int64(len(pages[i].Events)))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(events.Load()), s.complete(int(events.Load()))
}
