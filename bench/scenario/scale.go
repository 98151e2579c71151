package scenario

import "time"

// Scale says how much is measured: the number of rounds, of streams, of callers.
type Scale struct {
	rounds int           // of a figure and its ceilings
	window time.Duration // of one sample
	// budget is the time after which figures have one round only, so that the rest of the
	// scenario is measured too, however slow the machine is. 0 is without end.
	budget time.Duration
	// appends are the numbers of aggregates that append at the same time.
	appends []int
	// read is the number of streams, of ten events each, that are tailed and replayed.
	read int
	// rebuilt is the number of such streams that projections catch up with.
	rebuilt int
	// callers is the number of callers, and many that of the aggregates they ask.
	callers, many int
	// idle is the number of aggregates that are kept in memory, and recovered.
	idle int
	// history is the number of events of the longest stream.
	history int
	// recovered is the number of events of the aggregate that is recovered, cold that of the
	// aggregates that are asked for the first time, projected that of the events that a
	// projection in memory applies.
	recovered, cold, projected int
	// long is the number of events of the stream that is recovered without a snapshot.
	long int
	// timers is the number of timers that are pending while commands are measured, and late
	// that of timers that have come due while no node ran.
	timers, late int
	// backlog is the number of transfers that a crash has left, and paid that of the events of
	// each account between which they go.
	backlog, paid int
	// nodes is the number of nodes that append to one journal.
	nodes int
	// writers is the number of writers that append while a subscription follows, and loads the
	// parts of their highest rate at which they do.
	writers int
	loads   []float64
}

// Thorough is for figures that are published.
func Thorough() Scale {
	return Scale{
		rounds: 5, window: 3 * time.Second, appends: []int{4096, 256, 16, 1}, read: 50_000, rebuilt: 100_000,
		callers: 512, many: 1000, idle: 100_000, history: 100_000, long: 1_000_000, recovered: 10_000, cold: 1000, projected: 200_000, nodes: 16, writers: 256, timers: 1_000_000, late: 10_000, backlog: 50_000, paid: 15_000, loads: []float64{0.1, 0.5, 0.9},
	}
}

// Quickly keeps a scenario within two minutes, setting the store up included; on an
// idle machine it takes one.
func Quickly() Scale {
	s := Thorough()
	s.rounds, s.window, s.budget = 3, 400*time.Millisecond, 100*time.Second
	s.read, s.rebuilt, s.idle, s.long = 5000, 5000, 20_000, 200_000
	s.projected = 50_000
	s.timers, s.backlog, s.paid = 100_000, 10_000, 5000
	return s
}

// Tiny is the least that goes everywhere, for tests. Its figures mean nothing.
func Tiny() Scale {
	return Scale{
		rounds: 2, window: 5 * time.Millisecond, appends: []int{256, 16, 1}, read: 40, rebuilt: 40,
		callers: 4, many: 8, idle: 50, history: 1000, timers: 100, late: 20, backlog: 20, paid: 30, long: 3000, recovered: 30, cold: 5, projected: 40, nodes: 2, writers: 3, loads: []float64{0.5},
	}
}
