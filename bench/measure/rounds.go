package measure

import "slices"

// Sample measures once.
type Sample[T any] func() (T, error)

// Neighbours holds what a sample of ours has found, and what a ceiling's samples found
// right before and right after it. A machine's speed changes within seconds, so a
// sample is compared with its neighbours only.
type Neighbours[T any] struct{ Ours, Before, After T }

// by compares one figure of ours with the mean of the two ceilings next to it.
func (n Neighbours[T]) by(figure func(T) float64) Comparison {
	return Comparison{Ours: figure(n.Ours), Ceiling: (figure(n.Before) + figure(n.After)) / 2}
}

// Compared compares one figure of the samples in every round.
func Compared[T any](rounds []Neighbours[T], figure func(T) float64) []Comparison {
	comparisons := make([]Comparison, len(rounds))
	for i := range rounds {
		comparisons[i] = rounds[i].by(figure)
	}
	return comparisons
}

// Comparison is a figure of ours and that of its ceiling at about the same time.
type Comparison struct{ Ours, Ceiling float64 }

func (c Comparison) ratio() float64 { return c.Ours / c.Ceiling }

// Beside measures ours between samples of its ceilings, round after round, and
// returns the rounds for each ceiling.
func Beside[T any](s *Sheet, ours Sample[T], ceilings ...Sample[T]) ([][]Neighbours[T], error) {
	rounds := make([][]Neighbours[T], len(ceilings)) // by ceiling
	before, err := all(ceilings)
	if err != nil {
		return nil, err
	}
	for round := 0; s.Another(round); round++ {
		found, err := ours()
		if err != nil {
			return nil, err
		}
		after, err := all(ceilings)
		if err != nil {
			return nil, err
		}
		for i := range ceilings {
			rounds[i] = append(rounds[i], Neighbours[T]{found, before[i], after[i]})
		}
		before = after
	}
	return rounds, nil
}

// Alone measures a sample that has no ceiling, round after round.
func Alone[T any](s *Sheet, ours Sample[T]) ([]T, error) {
	var rounds []T
	for round := 0; s.Another(round); round++ {
		found, err := ours()
		if err != nil {
			return nil, err
		}
		rounds = append(rounds, found)
	}
	return rounds, nil
}

func all[T any](samples []Sample[T]) ([]T, error) {
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

// Identity is the figure of a sample that is a figure itself.
func Identity(v float64) float64 { return v }
