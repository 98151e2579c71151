package actors

import "sync"

// maxResting is how many goroutines wait for work: about as many as one commit wakes
// aggregates. More are made when more are needed, and end with it.
const maxResting = 512

// dispatcher runs activations on goroutines that are used again. A new one begins
// with a small stack, and to make it larger for each command took a fifth of the time
// of one on the memory journal. An idle activation holds no goroutine.
type dispatcher struct {
	mu      sync.Mutex
	resting []chan func() // the last to rest is the first to work: its stack is in the cache
	closed  bool
}

// Schedule fulfils actor.Dispatcher.
func (d *dispatcher) Schedule(run func()) {
	d.mu.Lock()
	if last := len(d.resting) - 1; last >= 0 {
		next := d.resting[last]
		d.resting = d.resting[:last]
		d.mu.Unlock()
		next <- run // it has room
		return
	}
	d.mu.Unlock()
	go d.work(run) // ends when it is not needed, or with close
}

// Throughput fulfils actor.Dispatcher. Our mailbox does not ask for it.
func (d *dispatcher) Throughput() int { return burst }

// work may end anywhere in run, as t.FailNow does it: it is not among the resting then.
func (d *dispatcher) work(run func()) {
	next := make(chan func(), 1)
	for ok := true; ok; run, ok = <-next {
		run()
		if !d.rest(next) {
			return
		}
	}
}

func (d *dispatcher) rest(worker chan func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.resting) == maxResting {
		return false
	}
	d.resting = append(d.resting, worker)
	return true
}

// close ends the goroutines that rest, and the others when their work is done.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, worker := range d.resting {
		close(worker)
	}
	d.resting = nil
}
