package scenario

import "time"

// Scale is how much is measured.
type Scale struct {
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

// Thorough is for figures that are published.
func Thorough() Scale {
	return Scale{
		rounds: 5, window: 3 * time.Second, appends: []int{4096, 256, 16, 1}, read: 50_000, rebuilt: 100_000,
		callers: 512, many: 1000, idle: 100_000, history: 100_000, long: 1_000_000, nodes: 16, writers: 256, timers: 1_000_000, late: 10_000, backlog: 50_000, paid: 15_000, loads: []float64{0.1, 0.5, 0.9},
	}
}

// Quickly keeps a scenario within two minutes, setting the store up included; on an
// idle machine it takes one.
func Quickly() Scale {
	s := Thorough()
	s.rounds, s.window, s.budget = 3, 400*time.Millisecond, 100*time.Second
	s.read, s.rebuilt, s.idle, s.long = 5000, 5000, 20_000, 200_000
	s.timers, s.backlog, s.paid = 100_000, 10_000, 5000
	return s
}

// Tiny is the least that goes everywhere, for tests. Its figures mean nothing.
func Tiny() Scale {
	return Scale{
		rounds: 2, window: 5 * time.Millisecond, appends: []int{256, 16, 1}, read: 40, rebuilt: 40,
		callers: 4, many: 8, idle: 50, history: 1000, timers: 100, late: 20, backlog: 20, paid: 30, long: 3000, nodes: 2, writers: 3, loads: []float64{0.5},
	}
}
