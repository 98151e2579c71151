package main

import (
	"context"
	"slices"
	"time"
)

// session is one scenario on one journal, and what it has found so far.
type session struct {
	ctx               context.Context //nolint:containedctx // of the run; a session is one call long
	scenario, journal string
	store             store
	scale             scale
	begun             time.Time
	figures           []figure
}

// scale is how much is measured.
type scale struct {
	rounds int           // of a figure beside its ceilings
	window time.Duration // of one sample
	// budget is when a scenario begins to do with one round: what is left must be
	// measured too, however slow the machine is. 0 is never.
	budget time.Duration
	// appends are the numbers of aggregates that append at the same time.
	appends []int
	// read are the streams of ten events that are tailed and replayed.
	read int
	// rebuilt are those that projections come to the end of.
	rebuilt int
	// callers ask, and many is how many aggregates they ask when it is not one.
	callers, many int
	// idle are the aggregates that are kept in memory, and recovered.
	idle int
	// history is how many events the longest stream has.
	history int
	// long is how many events the stream has that is recovered without a snapshot.
	long int
	// timers are pending while commands are measured, and late have come due without a
	// node.
	timers, late int
	// backlog is how many transfers a crash has left, and paid how many events each
	// account has that they go between.
	backlog, paid int
	// nodes append to one journal where that is what is measured.
	nodes int
	// writers append while a subscription follows, at these parts of what they can do.
	writers int
	loads   []float64
}

func thorough() scale {
	return scale{
		rounds: 5, window: 3 * time.Second, appends: []int{4096, 256, 16, 1}, read: 50_000, rebuilt: 100_000,
		callers: 512, many: 1000, idle: 100_000, history: 100_000, long: 1_000_000, nodes: 16, writers: 256, timers: 1_000_000, late: 10_000, backlog: 50_000, paid: 15_000, loads: []float64{0.1, 0.5, 0.9},
	}
}

// quickly keeps a scenario within two minutes, setting the store up included; on an
// idle machine it takes one.
func quickly() scale {
	s := thorough()
	s.rounds, s.window, s.budget = 3, 400*time.Millisecond, 100*time.Second
	s.read, s.rebuilt, s.idle, s.long = 5000, 5000, 20_000, 200_000
	s.timers, s.backlog, s.paid = 100_000, 10_000, 5000
	return s
}

// sample measures once.
type sample[T any] func() (T, error)

// neighbours are what a sample of ours has found, and what the ceiling's found
// right before and right after it. A machine's speed moves within seconds, so a
// sample is compared with its neighbours only.
type neighbours[T any] struct{ ours, before, after T }

// by compares one figure of what was found with the mean of the two beside it.
func (n neighbours[T]) by(figure func(T) float64) comparison {
	return comparison{ours: figure(n.ours), ceiling: (figure(n.before) + figure(n.after)) / 2}
}

// compared compares one figure in every round.
func compared[T any](rounds []neighbours[T], figure func(T) float64) []comparison {
	comparisons := make([]comparison, len(rounds))
	for i := range rounds {
		comparisons[i] = rounds[i].by(figure)
	}
	return comparisons
}

// comparison is a figure of ours and that of its ceiling beside it.
type comparison struct{ ours, ceiling float64 }

func (c comparison) ratio() float64 { return c.ours / c.ceiling }

// beside measures ours between samples of its ceilings, round after round, and
// returns the rounds for each ceiling.
func beside[T any](s *session, ours sample[T], ceilings ...sample[T]) ([][]neighbours[T], error) {
	rounds := make([][]neighbours[T], len(ceilings)) // by ceiling
	before, err := all(ceilings)
	if err != nil {
		return nil, err
	}
	for round := 0; s.another(round); round++ {
		found, err := ours()
		if err != nil {
			return nil, err
		}
		after, err := all(ceilings)
		if err != nil {
			return nil, err
		}
		for i := range ceilings {
			rounds[i] = append(rounds[i], neighbours[T]{found, before[i], after[i]})
		}
		before = after
	}
	return rounds, nil
}

// another reports whether there is a further round.
func (s *session) another(round int) bool {
	late := s.scale.budget > 0 && time.Since(s.begun) > s.scale.budget
	return round < s.scale.rounds && (round == 0 || !late)
}

// alone measures what has no ceiling, round after round.
func alone[T any](s *session, ours sample[T]) ([]T, error) {
	var rounds []T
	for round := 0; s.another(round); round++ {
		found, err := ours()
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, found)
	}
	return rounds, nil
}

func all[T any](samples []sample[T]) ([]T, error) {
	values := make([]T, len(samples))
	for i, sample := range samples {
		var err error
		if values[i], err = sample(); err != nil {
			return nil, err
		}
	}
	return values, nil
}

// median returns the middle one by its rank; of an even number the lower one.
func median[T any](values []T, rank func(T) float64) T {
	sorted := slices.SortedFunc(slices.Values(values), func(a, b T) int {
		switch {
		case rank(a) < rank(b):
			return -1
		case rank(a) > rank(b):
			return 1
		}
		return 0
	})
	return sorted[(len(sorted)-1)/2]
}

// value reports a figure that has neither a ceiling nor rounds.
func (s *session) value(metric string, value float64, unit string, a aim) {
	s.report(figure{Metric: metric, Value: value, Unit: unit}, value, a)
}

// middle reports the median of the rounds of a figure that has no ceiling.
func (s *session) middle(metric string, rounds []float64, unit string, a aim) {
	value := median(rounds, identity)
	s.report(figure{Metric: metric, Value: value, Unit: unit}.among(rounds), value, a)
}

// against reports a figure with its ceiling: of all rounds the one with the median
// ratio.
func (s *session) against(metric string, rounds []comparison, unit string, a aim) {
	c := median(rounds, comparison.ratio)
	f := figure{Metric: metric, Value: c.ours, Unit: unit}
	if c.ceiling > 0 {
		ratio := c.ratio()
		f.Ceiling, f.Ratio = &c.ceiling, &ratio
		ratios := make([]float64, len(rounds))
		for i := range rounds {
			ratios[i] = rounds[i].ratio()
		}
		s.report(f.among(ratios), ratio, a)
		return
	}
	s.report(f, 0, none)
}

func identity(v float64) float64 { return v }

func (s *session) report(f figure, judged float64, a aim) {
	f.Scenario, f.Journal, f.direction = s.scenario, s.journal, a.direction
	if a.direction != "" {
		met := a.met(judged)
		f.Aim, f.Met = &a.bound, &met
	}
	s.figures = append(s.figures, f)
}
