package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

// latency measures few callers who wait for each reply: the first measurement of most users.
func latency() []part {
	return []part{
		{"one caller", measureOneCaller},
		{"one caller with keys", measureOneCallerWithKeys},
		{"sixteen callers", measureSixteenCallers},
	}
}

// measureOneCaller divides the commands of one caller by the rows that one connection
// inserts, a commit for each.
func measureOneCaller(ctx context.Context, s *session) error {
	rival, ok := rivalOf(s, "insert")
	if !ok {
		return alone(ctx, s)
	}
	rounds, err := measure.Beside(s.Sheet, func() (load.Result, error) { return asking(ctx, s, 1, payAny) }, func() (load.Result, error) {
		return rival.Run(ctx, 1, s.scale.window)
	})
	if err != nil {
		return err
	}
	aims := map[string]measure.Aim{"postgres": measure.AtLeast(0.8), "sqlite": measure.AtLeast(1.2)}
	s.Against(measure.Metric{
		Name: "commands-1-caller-vs-insert", Unit: "commands/s", Aim: aims[s.Journal],
		Is: "replies per second to one caller, divided by rows/s of one prepared INSERT and commit after the other",
	}, measure.Compared(rounds[0], load.Result.Rate))
	return nil
}

// alone measures one caller on a journal that has no rival.
func alone(ctx context.Context, s *session) error {
	rounds, err := measure.Alone(s.Sheet, func() (float64, error) {
		l, err := asking(ctx, s, 1, payAny)
		return l.Rate(), err
	})
	if err != nil {
		return err
	}
	s.Middle(measure.Metric{Name: "commands-1-caller", Unit: "commands/s", Is: "replies per second to one caller"}, rounds)
	return nil
}

// measureOneCallerWithKeys divides commands that have a key by those that have none.
func measureOneCallerWithKeys(ctx context.Context, s *session) error {
	keyed := func(ctx context.Context, node *stele.Node, id string, i int) error {
		_, err := payIn.Ask(ctx, node, id, &bankpb.Deposit{Cents: 1}, actors.Once(fmt.Sprint("payment-", i)))
		return err
	}
	rounds, err := measure.Beside(s.Sheet, func() (load.Result, error) { return asking(ctx, s, 1, keyed) },
		func() (load.Result, error) { return asking(ctx, s, 1, payAny) })
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "commands-1-caller-with-once-vs-without", Unit: "commands/s", Aim: measure.AtLeast(0.95),
		Is: "replies per second to one caller whose commands have a key, divided by those without",
	}, measure.Compared(rounds[0], load.Result.Rate))
	return nil
}

// measureSixteenCallers divides the commands of 16 callers, each with an aggregate, by the
// rows that 16 goroutines insert over a pool, a commit for each.
func measureSixteenCallers(ctx context.Context, s *session) error {
	const callers = 16
	rival, ok := rivalOf(s, "pool")
	if !ok {
		return nil
	}
	rounds, err := measure.Beside(s.Sheet, func() (load.Result, error) { return asking(ctx, s, callers, payAny) }, func() (load.Result, error) {
		return rival.Run(ctx, callers, s.scale.window)
	})
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: "commands-16-callers-vs-pool", Unit: "commands/s", Aim: measure.AtLeast(1),
		Is: "replies per second to 16 callers of an aggregate each, divided by rows/s of 16 goroutines on a pool, a commit for each INSERT",
	}, measure.Compared(rounds[0], load.Result.Rate))
	return nil
}

func rivalOf(s *session, name string) (store.Rival, bool) {
	for _, rival := range s.store.Rivals() {
		if rival.Name == name {
			return rival, true
		}
	}
	return store.Rival{}, false
}

func payAny(ctx context.Context, node *stele.Node, id string, _ int) error { return pay(ctx, node, id) }

// asking lets callers ask an aggregate each, one command after the other. The aggregates are
// there before the time counts.
func asking(ctx context.Context, s *session, callers int, ask func(context.Context, *stele.Node, string, int) error) (l load.Result, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		return tallying(ctx, j, plainTallies, func(node *stele.Node) error {
			for caller := range callers {
				if err := pay(ctx, node, fmt.Sprint(caller)); err != nil {
					return err
				}
			}
			l, err = load.ClosedLoop(callers, s.scale.window, func(caller, i int) error { return ask(ctx, node, fmt.Sprint(caller), i) })
			return err
		})
	})
	return l, err
}

// perSecond returns the rate of things that have taken the time since they began.
func perSecond(count int, began time.Time) float64 {
	return float64(count) / time.Since(began).Seconds()
}
