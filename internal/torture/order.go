package torture

import (
	"context"
	"fmt"
	"time"
)

// Order has many connections write into one sequence, with delays before commits,
// rollbacks and killed backends, while readers follow in every way. In the second
// half a foreign transaction stays open until every reader has come to the end:
// one that does not come because of it has stalled.
type Order struct {
	Target
	// Connections write at once, 16 or more.
	Connections int
	// Duration is the time for which they write.
	Duration time.Duration
}

// Run writes, reads and judges. An error means that it could not.
func (o Order) Run(ctx context.Context) (*Report, error) {
	report := &Report{Program: fmt.Sprintf("order, %d connections", o.Connections), Seed: o.Seed}
	// Each node writes through two connections.
	nodes := max(2, o.Connections/8)
	l, err := startLoad(ctx, &o.Target, nodes, 8, o.Connections-2*nodes)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := o.torture(ctx, l, report); err != nil {
		return nil, err
	}
	return report, l.judge(ctx, report)
}

func (o Order) torture(ctx context.Context, l *load, report *Report) error {
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	killer := &killer{url: o.URL, names: []string{journalName, callerName}, every: 60 * time.Millisecond, ledger: l.ledger, lots: l.lots()}
	l.writing.Go(func() { killer.run(killing) })
	pause(ctx, o.Duration/2)
	endForeign, err := openForeign(ctx, o.URL)
	if err != nil {
		return err
	}
	defer endForeign()
	l.foreign.Store(true)
	pause(ctx, o.Duration/2)
	stopKilling()
	if err := l.finish(ctx, report); err != nil {
		return err
	}
	report.Kills = killer.killed
	return killer.err
}
