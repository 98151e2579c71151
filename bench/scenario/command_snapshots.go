package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
)

// measureSnapshot compares the first answer of an aggregate with a long history and
// a snapshot with that of one with a short history.
func measureSnapshot(ctx context.Context, s *session, j store.Journal) error {
	long, short := s.scale.history, s.scale.history/1000
	lanes := load.NewLanes("tally", 2)
	lengths := []persistence.Version{persistence.Version(long), persistence.Version(short)}
	for i, l := range lanes {
		if _, err := load.Pump(j, []*load.Lane{l}, deposited, func(l *load.Lane) bool { return l.Version < lengths[i] }); err != nil {
			return err
		}
	}
	err := tallying(ctx, j, fullTallies, func(node *stele.Node) error { // which leaves a snapshot
		_, err := answerTime(ctx, node, "0", long)
		return err
	})
	if err != nil {
		return err
	}
	rounds := make([]measure.Comparison, 15)
	for i := range rounds {
		if rounds[i], err = compareAnswers(ctx, j, long, short); err != nil {
			return err
		}
	}
	var replay float64
	err = tallying(ctx, j, plainTallies, func(node *stele.Node) (err error) {
		replay, err = answerTime(ctx, node, "0", long)
		return err
	})
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("first-answer-of-%d-with-snapshot-vs-%d", long, short), Unit: "µs", Aim: measure.AtMost(2),
		Is: fmt.Sprintf("time to the first answer after %d events and a snapshot, divided by that after %d events", long, short),
	}, rounds)
	s.Value(measure.Metric{
		Name: fmt.Sprintf("first-answer-of-%d-without-snapshot", long), Unit: "µs",
		Is: fmt.Sprintf("time to the first answer after %d events without a snapshot", long),
	}, replay)
	return nil
}

// compareAnswers returns the time to the first answer of the long tally, and that of the
// short one as its ceiling, on a node that has answered before.
func compareAnswers(ctx context.Context, j store.Journal, long, short int) (c measure.Comparison, err error) {
	err = tallying(ctx, j, fullTallies, func(node *stele.Node) (err error) {
		if _, err = answerTime(ctx, node, "none", 0); err != nil {
			return err
		}
		if c.Ceiling, err = answerTime(ctx, node, "1", short); err != nil {
			return err
		}
		c.Ours, err = answerTime(ctx, node, "0", long)
		return err
	})
	return c, err
}

// answerTime asks a tally, which must have so many cents, and returns the time to its answer
// in microseconds.
func answerTime(ctx context.Context, node *stele.Node, id string, cents int) (float64, error) {
	began := time.Now()
	balance, err := showIt.Ask(ctx, node, id, &bankpb.Show{})
	took := float64(time.Since(began).Nanoseconds()) / 1e3
	if err == nil && balance.Cents != int64(cents) {
		err = fmt.Errorf("tally %s has %d cents", id, balance.Cents)
	}
	return took, err
}
