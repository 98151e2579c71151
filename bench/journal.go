package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/persistence"
)

// measureJournal measures a journal by itself, without aggregates.
func measureJournal(s *session) error {
	made := newRows()
	for _, writers := range s.scale.appends {
		measure := s.measureAppends
		if writers == 1 {
			measure = s.measureSingle
		}
		if err := measure(made, writers); err != nil {
			return fmt.Errorf("append from %d: %w", writers, err)
		}
	}
	for _, part := range []struct {
		name string
		do   func(*rows) error
	}{
		{"statements", s.measureStatements},
		{"expectations", s.measureExpectations},
		{"nodes", s.measureNodes},
		{"delivery", s.measureDelivery},
		{"reads", s.measureReads},
	} {
		if err := part.do(made); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// measureAppends measures throughput beside the rivals for this many writers, and
// for the most writers also what their appends cost.
func (s *session) measureAppends(rows *rows, writers int) error {
	latencies := newHistogram()
	ours := func() (load, error) {
		l, err := s.appends(rows, writers)
		if err == nil {
			latencies.Merge(l.latency)
		}
		return l, err
	}
	metric := fmt.Sprintf("append-%d", writers)
	rounds, err := s.beat(metric, writers, "events/s", ours, load.rate)
	if err != nil {
		return err
	}
	s.percentiles(metric, latencies, 50, 99, 99.9)
	if writers != s.scale.appends[0] {
		return nil
	}
	slowest := make([]comparison, len(rounds))
	for i := range rounds {
		slowest[i] = comparison{ours: rounds[i].ours.micros(99.9), ceiling: rounds[i].ours.middle()}
	}
	s.against(metric+"-p99.9-vs-p50", slowest, "µs", s.durable(atMost(3)))
	return s.reportCosts(rows, writers, rounds)
}

// durable is an aim for journals whose appends wait for a flush, and which take
// their time for it.
func (s *session) durable(a aim) aim {
	if s.journal == "memory" {
		return none
	}
	return a
}

// reportCosts reports what one event costs, beside the first rival's.
func (s *session) reportCosts(rows *rows, writers int, rounds []neighbours[load]) error {
	generator, err := s.generator(rows, writers)
	if err != nil {
		return err
	}
	client, log, server := make([]float64, len(rounds)), make([]float64, len(rounds)), true
	for i, r := range rounds {
		client[i], log[i] = r.ours.clientTime()-generator, r.ours.logged()
		server = server && r.before.cost.server > 0 && r.ours.cost.server > 0 && r.after.cost.server > 0
	}
	if _, apart := s.store.(meter); !apart {
		s.middle("client-time-per-event", client, "µs", none)
		return nil
	}
	s.middle("client-time-per-event", client, "µs", atMost(2))
	rival := s.store.rivals()[0].name
	if server {
		s.against("server-time-per-event-vs-"+rival, compared(rounds, load.serverTime), "µs", atMost(1.4))
	}
	s.middle("log-per-event", log, "B", atMost(640))
	s.against("log-per-event-vs-"+rival, compared(rounds, load.logged), "B", none)
	return nil
}

// generator is what this process needs for making an event and taking its outcome,
// when the journal does nothing: it is not the journal's.
func (s *session) generator(rows *rows, writers int) (float64, error) {
	l, err := metered(s.ctx, within{}, func() (load, error) {
		return pump(nothing{}, newLanes("bench", writers), rows.event, during(s.scale.window/4))
	})
	return l.clientTime(), err
}

// nothing fulfils persistence.Submitter and stores nothing.
type nothing struct{}

func (nothing) Submit(a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
	done(persistence.Outcome{Last: persistence.Version(a.Expected) + persistence.Version(len(a.Events))})
	return nil
}

// measureSingle measures the latency of one writer who waits for each append.
func (s *session) measureSingle(rows *rows, writers int) error {
	latencies := newHistogram()
	ours := func() (load, error) {
		l, err := s.single(rows.exactly, s.scale.window)
		if err == nil {
			latencies.Merge(l.latency)
		}
		return l, err
	}
	if _, err := s.beat("append-1-p50", writers, "µs", ours, load.middle); err != nil {
		return err
	}
	s.percentiles("append-1", latencies, 99, 99.9)
	return nil
}

// measureExpectations measures what it costs to expect no version, and to choose
// the event's id, beside the same without.
func (s *session) measureExpectations(rows *rows) error {
	sampled := func(next func(*lane) persistence.Append) sample[load] {
		return func() (load, error) { return s.single(next, s.scale.window/2) }
	}
	for _, kind := range []struct {
		metric string
		next   func(*lane) persistence.Append
		aim    aim
	}{
		{"append-any", func(l *lane) persistence.Append {
			return persistence.Append{Stream: l.stream, Expected: persistence.Any, Events: []persistence.Event{rows.event(l)}}
		}, atMost(2)},
		{"append-named", func(l *lane) persistence.Append {
			event := rows.event(l)
			event.ID = persistence.NewEventID()
			return l.exactly(event)
		}, atMost(2.5)},
	} {
		rounds, err := beside(s, sampled(kind.next), sampled(rows.exactly))
		if err != nil {
			return fmt.Errorf("%s: %w", kind.metric, err)
		}
		s.against(kind.metric+"-p50-vs-exact", compared(rounds[0], load.middle), "µs", kind.aim)
	}
	return nil
}

// beat compares a figure with that of every rival for this many writers, and
// returns the rounds beside the first one.
func (s *session) beat(metric string, writers int, unit string, ours sample[load], figure func(load) float64) ([]neighbours[load], error) {
	var rivals []rival
	var samples []sample[load]
	for _, r := range s.store.rivals() {
		if _, measured := r.aims[writers]; !measured {
			continue
		}
		rivals = append(rivals, r)
		samples = append(samples, func() (load, error) {
			l, err := r.run(s.ctx, writers, s.scale.window)
			if err != nil {
				return load{}, fmt.Errorf("measure the rival %s: %w", r.name, err)
			}
			return l, nil
		})
	}
	rounds, err := beside(s, ours, samples...)
	if err != nil {
		return nil, err
	}
	for i := range rounds {
		s.against(metric+"-vs-"+rivals[i].name, compared(rounds[i], figure), unit, rivals[i].aims[writers])
	}
	return rounds[0], nil
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
	m, ok := s.store.(meter)
	if !ok {
		m = within{}
	}
	err = s.fresh(func(j journal) error {
		lanes := newLanes("bench", writers)
		if _, err := pump(j, lanes, rows.event, upTo(1)); err != nil {
			return err
		}
		l, err = metered(s.ctx, m, func() (load, error) { return pump(j, lanes, rows.event, during(s.scale.window)) })
		return err
	})
	return l, err
}

// single lets one writer append to one stream, which exists already.
func (s *session) single(next func(*lane) persistence.Append, window time.Duration) (l load, err error) {
	err = s.fresh(func(j journal) error {
		w := newWriter(j, newLanes("bench", 1), next)
		if err := w.append(0); err != nil {
			return err
		}
		l, err = single(window, w.append)
		return err
	})
	return l, err
}
