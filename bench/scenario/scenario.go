// Package scenario holds the scenarios that are measured: one file for each, which lists its
// parts, and beside it a file for each part that is long. The files of a part begin
// with the name of its scenario.
//
//	for _, s := range scenario.All() {
//		figures, err := s.Measure(ctx, "memory", store, scenario.Quickly())
//	}
//
// A new scenario is a line in [All] and a file. It makes loads with package load, compares
// what they did with package measure, and asks package store for ceilings: the best that
// the machine and the store can do without our code. The package knows no command line and
// prints nothing.
package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
)

// Scenario measures one part of the system on one journal.
type Scenario struct {
	// Name is the scenario's name on the command line, About the line of help.
	Name, About string

	parts []part
}

// part is a group of figures of a scenario.
type part struct {
	name    string // completes the sentence "measure …"
	measure func(context.Context, *session) error
}

// All returns the scenarios there are. A new one is a line here.
func All() []Scenario {
	return []Scenario{
		{"journal", "appends, tailing and replay, divided by the store's own best", journal()},
		{"latency", "few callers who wait for each reply, divided by plain INSERTs", latency()},
		{"read", "events that come back into aggregates and projections, divided by loops by hand", read()},
		{"command", "commands of aggregates from Ask to reply, recovery, memory", command()},
		{"backlog", "transfers that a crash has left, and commands meanwhile", backlog()},
		{"timers", "timers that are pending, that fire, that are found", timers()},
		{"projection", "catching up, many on one journal, from append to read model", projection()},
	}
}

// Measure measures a scenario on the journals of a store, and returns the figures.
func (s Scenario) Measure(ctx context.Context, journal string, on store.Store, scale Scale) ([]measure.Figure, error) {
	session := &session{
		Sheet: &measure.Sheet{Scenario: s.Name, Journal: journal, Rounds: scale.rounds, Budget: scale.budget, Begun: time.Now()},
		store: on, scale: scale, rows: load.NewRows(),
	}
	for _, part := range s.parts {
		if err := part.measure(ctx, session); err != nil {
			return nil, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return session.Figures, nil
}

// session is one scenario that is being measured on one journal: the sheet on which it
// reports, and how much it measures.
type session struct {
	*measure.Sheet
	store store.Store
	scale Scale
	rows  *load.Rows
}

// durable is an aim only for journals whose appends wait for a flush.
func durable(s *session, a measure.Aim) measure.Aim {
	if s.Journal == "memory" {
		return measure.None
	}
	return a
}

// percentiles reports latencies without a ceiling.
func percentiles(s *session, metric, is string, latencies *hdrhistogram.Histogram, which ...float64) {
	for _, p := range which {
		s.Value(measure.Metric{
			Name: fmt.Sprintf("%s-p%g", metric, p), Unit: "µs", Is: fmt.Sprintf("%s: %g %% take at most this", is, p),
		}, float64(latencies.ValueAtQuantile(p))/1e3)
	}
}

// fresh opens a new journal for one sample and drops it afterwards, so that all
// samples find the same.
func fresh(ctx context.Context, s *session, use func(store.Journal) error) error {
	return in(ctx, s, "sample", use)
}

// onFresh is a part that is measured on a new journal.
func onFresh(measure func(context.Context, *session, store.Journal) error) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		return fresh(ctx, s, func(j store.Journal) error { return measure(ctx, s, j) })
	}
}

// in opens the journal of a space and drops it after use.
func in(ctx context.Context, s *session, space string, use func(store.Journal) error) (err error) {
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.Drop(context.WithoutCancel(ctx), space))
	}()
	return use(j)
}

// besideScan divides a rate of events by that of reading the rows of a space without the
// journal, where the store can do that.
func besideScan(ctx context.Context, s *session, metric measure.Metric, space string, ours measure.Sample[float64]) error {
	scanner, ok := s.store.(store.Scanner)
	if !ok {
		rates, err := measure.Alone(s.Sheet, ours)
		if err != nil {
			return err
		}
		metric.Aim = measure.None // which is for the ratio
		s.Middle(metric, rates)
		return nil
	}
	rounds, err := measure.Beside(s.Sheet, ours, reading(s, func() (int, error) { return scanner.Scan(ctx, space) }))
	if err != nil {
		return err
	}
	metric.Name, metric.Is = metric.Name+"-vs-select", metric.Is+", divided by rows/s of one SELECT of all rows"
	s.Against(metric, measure.Compared(rounds[0], measure.Identity))
	return nil
}

// until asks again each millisecond until the answer is true.
func until(ctx context.Context, what func() bool) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !what() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}
