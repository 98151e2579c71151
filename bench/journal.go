package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/persistence"
)

// measureJournal measures a journal by itself, without aggregates.
func measureJournal(s *session) error {
	rows := newRows()
	for _, writers := range s.scale.appends {
		measure := s.measureAppends
		if writers == 1 {
			measure = s.measureSingle
		}
		if err := measure(rows, writers); err != nil {
			return fmt.Errorf("append from %d: %w", writers, err)
		}
	}
	if err := s.measureLog(rows); err != nil {
		return fmt.Errorf("measure the log: %w", err)
	}
	return s.measureReads(rows)
}

// measureAppends measures throughput beside the rivals for this many writers.
func (s *session) measureAppends(rows *rows, writers int) error {
	latencies := newHistogram()
	ours := func() (float64, error) {
		l, err := s.appends(rows, writers)
		if err == nil {
			latencies.Merge(l.latency)
		}
		return l.rate(), err
	}
	metric := fmt.Sprintf("append-%d", writers)
	if err := s.beat(metric, writers, "events/s", ours, load.rate); err != nil {
		return err
	}
	s.percentiles(metric, latencies, 50, 99, 99.9)
	return nil
}

// measureSingle measures the latency of one writer who waits for each append.
func (s *session) measureSingle(rows *rows, writers int) error {
	latencies := newHistogram()
	ours := func() (float64, error) {
		l, err := s.single(rows)
		if err != nil {
			return 0, err
		}
		latencies.Merge(l.latency)
		return l.micros(50), nil
	}
	if err := s.beat("append-1-p50", writers, "µs", ours, func(l load) float64 { return l.micros(50) }); err != nil {
		return err
	}
	s.percentiles("append-1", latencies, 99, 99.9)
	return nil
}

// beat compares a figure with that of every rival for this many writers.
func (s *session) beat(metric string, writers int, unit string, ours sample, figure func(load) float64) error {
	var rivals []rival
	var samples []sample
	for _, r := range s.store.rivals() {
		if _, measured := r.aims[writers]; !measured {
			continue
		}
		rivals = append(rivals, r)
		samples = append(samples, func() (float64, error) {
			l, err := r.run(s.ctx, writers, s.scale.window)
			if err != nil {
				return 0, fmt.Errorf("measure the rival %s: %w", r.name, err)
			}
			return figure(l), nil
		})
	}
	if len(rivals) == 0 {
		value, err := s.alone(ours)
		s.value(metric, value, unit, none)
		return err
	}
	compared, err := s.beside(ours, samples...)
	for i := range compared {
		s.against(metric+"-vs-"+rivals[i].name, compared[i], unit, rivals[i].aims[writers])
	}
	return err
}

func (s *session) percentiles(metric string, latencies *hdrhistogram.Histogram, which ...float64) {
	for _, p := range which {
		s.value(fmt.Sprintf("%s-p%g", metric, p), float64(latencies.ValueAtQuantile(p))/1e3, "µs", none)
	}
}

// fresh opens a new journal for one sample and drops it afterwards, so that all
// samples find the same.
func (s *session) fresh(use func(journal) error) (err error) {
	const space = "sample"
	j, err := s.store.open(s.ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.drop(context.WithoutCancel(s.ctx), space))
	}()
	return use(j)
}

// appends lets aggregates append that each wait for theirs. Their streams exist
// already: making a stream is not part of an append.
func (s *session) appends(rows *rows, writers int) (l load, err error) {
	err = s.fresh(func(j journal) error {
		lanes := newLanes("bench", writers)
		if _, err := pump(j, lanes, rows.event, upTo(1)); err != nil {
			return err
		}
		l, err = pump(j, lanes, rows.event, during(s.scale.window))
		return err
	})
	return l, err
}

func (s *session) single(rows *rows) (l load, err error) {
	err = s.fresh(func(j journal) error {
		w := newWriter(j, newLanes("bench", 1), rows.event)
		l, err = single(s.scale.window, w.append)
		return err
	})
	return l, err
}

// measureLog measures the bytes that an event adds to the store's log, where the
// store can tell, beside those of the first rival.
func (s *session) measureLog(rows *rows) error {
	store, ok := s.store.(logged)
	if !ok {
		return nil
	}
	writers := s.scale.appends[0]
	ours := func() (bytes float64, err error) {
		err = s.fresh(func(j journal) error {
			lanes := newLanes("bench", writers)
			if _, err := pump(j, lanes, rows.event, upTo(1)); err != nil {
				return err
			}
			bytes, err = perEvent(s.ctx, store, func() (load, error) { return pump(j, lanes, rows.event, upTo(1+eventsEach)) })
			return err
		})
		return bytes, err
	}
	rival := s.store.rivals()[0]
	ceiling := func() (float64, error) {
		return perEvent(s.ctx, store, func() (load, error) { return rival.run(s.ctx, writers, s.scale.window/2) })
	}
	compared, err := s.beside(ours, ceiling)
	if err != nil {
		return err
	}
	s.against("log-per-event-vs-"+rival.name, compared[0], "B", none)
	return nil
}

func perEvent(ctx context.Context, store logged, do func() (load, error)) (float64, error) {
	before, err := store.logged(ctx)
	if err != nil {
		return 0, err
	}
	l, err := do()
	if err != nil {
		return 0, err
	}
	after, err := store.logged(ctx)
	return float64(after-before) / float64(l.count), err
}

// Sizes of what is read.
const (
	eventsEach  = 10   // events of a stream
	wave        = 1000 // streams that are written to at the same time
	tailPage    = 1000 // rows
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
	}{
		{"tail", func() (int, error) { return s.tail(j) }},
		{"replay", func() (int, error) { return s.replay(j) }},
	} {
		ours := s.reading(read.all)
		if err := s.besideScan(read.metric, space, ours, none); err != nil {
			return fmt.Errorf("%s: %w", read.metric, err)
		}
	}
	return nil
}

// besideScan compares a rate of events with that of reading the rows of a space
// without the journal, where the store can.
func (s *session) besideScan(metric, space string, ours sample, a aim) error {
	store, ok := s.store.(scanner)
	if !ok {
		rate, err := s.alone(ours)
		s.value(metric, rate, "events/s", none)
		return err
	}
	compared, err := s.beside(ours, s.reading(func() (int, error) { return store.scan(s.ctx, space) }))
	if err != nil {
		return err
	}
	s.against(metric+"-vs-select", compared[0], "events/s", a)
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
func (s *session) reading(all func() (int, error)) sample {
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

func (s *session) tail(j journal) (count int, err error) {
	for page, err := range j.ReadAll(s.ctx, persistence.ReadAllOptions{PageRows: tailPage}) {
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
