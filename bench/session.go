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
	// callers ask, and many is how many aggregates they ask when it is not one.
	callers, many int
	// idle are the aggregates that are kept in memory, and recovered.
	idle int
}

func thorough() scale {
	return scale{
		rounds: 5, window: 3 * time.Second, appends: []int{4096, 256, 16, 1}, read: 50_000,
		callers: 512, many: 1000, idle: 100_000,
	}
}

// quickly keeps every scenario within 40 s, setting the store up included.
func quickly() scale {
	return scale{
		rounds: 3, window: 400 * time.Millisecond, budget: 22 * time.Second, appends: []int{4096, 256, 16, 1}, read: 5000,
		callers: 512, many: 1000, idle: 20_000,
	}
}

// sample measures once.
type sample func() (float64, error)

// comparison is a figure of ours and that of its ceiling beside it.
type comparison struct{ ours, ceiling float64 }

func (c comparison) ratio() float64 { return c.ours / c.ceiling }

// beside measures ours between samples of its ceilings, round after round, and
// returns for each ceiling the round whose ratio is the median. A machine's speed
// moves within seconds, so a sample is compared with its neighbours only: the
// mean of the ceiling before and of the one after.
func (s *session) beside(ours sample, ceilings ...sample) ([]comparison, error) {
	rounds := make([][]comparison, len(ceilings)) // by ceiling
	before, err := all(ceilings)
	if err != nil {
		return nil, err
	}
	for round := 0; s.another(round); round++ {
		value, err := ours()
		if err != nil {
			return nil, err
		}
		after, err := all(ceilings)
		if err != nil {
			return nil, err
		}
		for i := range ceilings {
			rounds[i] = append(rounds[i], comparison{ours: value, ceiling: (before[i] + after[i]) / 2})
		}
		before = after
	}
	medians := make([]comparison, len(ceilings))
	for i := range rounds {
		medians[i] = median(rounds[i], comparison.ratio)
	}
	return medians, nil
}

// another reports whether there is a further round.
func (s *session) another(round int) bool {
	late := s.scale.budget > 0 && time.Since(s.begun) > s.scale.budget
	return round < s.scale.rounds && (round == 0 || !late)
}

// alone measures what has no ceiling, and returns the median.
func (s *session) alone(ours sample) (float64, error) {
	var values []float64
	for round := 0; s.another(round); round++ {
		value, err := ours()
		if err != nil {
			return 0, err
		}
		values = append(values, value)
	}
	return median(values, func(v float64) float64 { return v }), nil
}

func all(samples []sample) ([]float64, error) {
	values := make([]float64, len(samples))
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

// value reports a figure that has no ceiling.
func (s *session) value(metric string, value float64, unit string, a aim) {
	s.report(figure{Metric: metric, Value: value, Unit: unit}, value, a)
}

// against reports a figure with its ceiling.
func (s *session) against(metric string, c comparison, unit string, a aim) {
	f := figure{Metric: metric, Value: c.ours, Unit: unit}
	if c.ceiling > 0 {
		ratio := c.ratio()
		f.Ceiling, f.Ratio = &c.ceiling, &ratio
		s.report(f, ratio, a)
		return
	}
	s.report(f, 0, none)
}

func (s *session) report(f figure, judged float64, a aim) {
	f.Scenario, f.Journal, f.direction = s.scenario, s.journal, a.direction
	if a.direction != "" {
		met := a.met(judged)
		f.Aim, f.Met = &a.bound, &met
	}
	s.figures = append(s.figures, f)
}
