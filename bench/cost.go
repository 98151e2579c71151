package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// cost is what something took of the processors and of the store's log.
type cost struct {
	client time.Duration // of this process
	server time.Duration // of the store's own processes; 0 where there are none, or nobody can tell
	logged int64         // bytes
}

func (c cost) minus(d cost) cost {
	return cost{c.client - d.client, c.server - d.server, c.logged - d.logged}
}

// meter is a store that knows what it has cost so far.
type meter interface {
	cost(ctx context.Context) (cost, error)
}

// within meters stores that live in this process.
type within struct{}

func (within) cost(context.Context) (cost, error) { return cost{client: processorTime()}, nil }

// metered does something and notes what it cost.
func metered(ctx context.Context, m meter, do func() (load, error)) (load, error) {
	before, err := m.cost(ctx)
	if err != nil {
		return load{}, err
	}
	l, err := do()
	if err != nil {
		return l, err
	}
	after, err := m.cost(ctx)
	l.cost = after.minus(before)
	return l, err
}

// processorTimeOf is that of another process with one thread, or 0 where the
// system does not tell.
func processorTimeOf(pid int) time.Duration {
	// The first number is in nanoseconds; /proc/PID/stat knows ticks of 10 ms only.
	schedule, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid))
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(schedule), " ")
	running, err := strconv.ParseInt(first, 10, 64)
	if err != nil {
		return 0
	}
	return time.Duration(running)
}
