package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	json "github.com/go-json-experiment/json/v1"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// read measures how fast events come back: into one aggregate, into many, and into a
// projection. The ceiling is the loop that one would write by hand: a plain SELECT, the same
// decoder, and the same addition. In memory the loop reads the journal, and there are no aims.
func read() []part {
	return []part{
		{"one aggregate", measureOneRecovery},
		{"many aggregates", measureColdLoads},
		{"a projection of protobuf messages", onMessages("protobuf", protobufKind)},
		{"a projection of plain structs", onMessages("plain", plainKind)},
	}
}

// added is an event as a plain struct.
type added struct {
	Cents int64  `json:"cents"`
	Text  string `json:"text"`
}

// MessageName fulfils codec.Named.
func (added) MessageName() string { return "bench.added" }

// byHand adds up the payloads of a stream, which are protobuf messages.
func byHand(ctx context.Context, from store.Selector, stream string) (sum int64, err error) {
	err = from.SelectStream(ctx, "sample", stream, func(_ string, payload []byte) error {
		e := new(bankpb.Deposited)
		if err := proto.Unmarshal(payload, e); err != nil {
			return err
		}
		sum += e.Cents
		return nil
	})
	return sum, err
}

// paidIn appends so many deposits to a tally.
func paidIn(ctx context.Context, j store.Journal, id string, events int) error {
	stream := persistence.StreamID("tally-" + id)
	for n := 0; n < events; {
		batch := make([]persistence.Event, min(page, events-n))
		for i := range batch {
			batch[i] = deposited(nil)
		}
		outcomes, err := j.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Exact(persistence.Version(n)), Events: batch}) //nolint:gosec // small
		if err := errors.Join(err, outcomes[0].Err); err != nil {
			return err
		}
		n += len(batch)
	}
	return nil
}

// measureOneRecovery measures the recovery of an aggregate by its next command, and its
// state as StateAt tells it.
func measureOneRecovery(ctx context.Context, s *session) error {
	return fresh(ctx, s, func(j store.Journal) error {
		if err := paidIn(ctx, j, "0", s.scale.recovered); err != nil {
			return err
		}
		hand := func() (float64, error) {
			began := time.Now()
			sum, err := byHand(ctx, s.store, "tally-0")
			return perSecond(s.scale.recovered, began), errors.Join(err, complete(int(sum), s.scale.recovered))
		}
		if err := beside(s, measure.Metric{
			Name: "recovery-vs-by-hand", Unit: "events/s", Aim: durable(s, measure.AtLeast(0.95)),
			Is: fmt.Sprintf("events/s that an aggregate of %d events comes back with by its next command, divided by those of a loop by hand with the same decoder", s.scale.recovered),
		}, func() (rate float64, err error) { return recovered(ctx, s, j) }, hand); err != nil {
			return err
		}
		return beside(s, measure.Metric{
			Name: "state-at-vs-by-hand", Unit: "events/s", Aim: durable(s, measure.AtLeast(0.95)),
			Is: "the same by StateAt, divided by those of a loop by hand with the same decoder",
		}, func() (float64, error) {
			began := time.Now()
			state, _, err := plainTallies.StateAt(ctx, j, "0", actors.StateOptions{})
			if err != nil {
				return 0, err
			}
			return perSecond(s.scale.recovered, began), complete(int(state.Cents), s.scale.recovered)
		}, hand)
	})
}

func beside(s *session, metric measure.Metric, ours, ceiling measure.Sample[float64]) error {
	rounds, err := measure.Beside(s.Sheet, ours, ceiling)
	if err != nil {
		return err
	}
	s.Against(metric, measure.Compared(rounds[0], measure.Identity))
	return nil
}

// recovered returns how many events a second an aggregate comes back with, on a node that
// has answered already.
func recovered(ctx context.Context, s *session, j store.Journal) (rate float64, err error) {
	err = tallying(ctx, j, plainTallies, func(node *stele.Node) error {
		if _, err := showIt.Ask(ctx, node, "none", &bankpb.Show{}); err != nil {
			return err
		}
		began := time.Now()
		balance, err := showIt.Ask(ctx, node, "0", &bankpb.Show{})
		rate = perSecond(s.scale.recovered, began)
		return errors.Join(err, complete(int(balance.GetCents()), s.scale.recovered))
	})
	return rate, err
}

// measureColdLoads measures aggregates that are asked for the first time, 16 at a time.
func measureColdLoads(ctx context.Context, s *session) error {
	const callers, each = 16, 20
	return fresh(ctx, s, func(j store.Journal) error {
		count := s.scale.cold
		_, err := load.Once(callers, count, func(i int) error { return paidIn(ctx, j, fmt.Sprint(i), each) })
		if err != nil {
			return err
		}
		return beside(s, measure.Metric{
			Name: "cold-loads-vs-by-hand", Unit: "aggregates/s", Aim: durable(s, measure.AtLeast(0.75)),
			Is: fmt.Sprintf("aggregates/s of %d events that 16 callers ask for the first time, divided by those of 16 goroutines that read and decode by hand", each),
		}, func() (rate float64, err error) {
			err = tallying(ctx, j, plainTallies, func(node *stele.Node) error {
				l, err := load.Once(callers, count, func(i int) error {
					balance, err := showIt.Ask(ctx, node, fmt.Sprint(i), &bankpb.Show{})
					return errors.Join(err, complete(int(balance.GetCents()), each))
				})
				rate = l.Rate()
				return err
			})
			return rate, err
		}, func() (float64, error) {
			l, err := load.Once(callers, count, func(i int) error {
				sum, err := byHand(ctx, s.store, fmt.Sprint("tally-", i))
				return errors.Join(err, complete(int(sum), each))
			})
			return l.Rate(), err
		})
	})
}

// messages are events of one form, and how a projection and a loop by hand add them up.
type messages struct {
	event   func() persistence.Event
	project func(sum *int64) projections.Projection
	decode  func(payload []byte) (int64, error)
}

func protobufKind() messages {
	return messages{
		event: func() persistence.Event { return deposited(nil) },
		project: func(sum *int64) projections.Projection {
			return projections.Define("deposits", 1, projections.On(func(_ context.Context, sum *int64, e projections.Event[*bankpb.Deposited]) error {
				*sum += e.Data.Cents
				return nil
			})).With(projections.FromKinds("tally")).Into(projections.InMemory(sum))
		},
		decode: func(payload []byte) (int64, error) {
			e := new(bankpb.Deposited)
			err := proto.Unmarshal(payload, e)
			return e.Cents, err
		},
	}
}

func plainKind() messages {
	return messages{
		event: func() persistence.Event {
			return persistence.Event{Type: added{}.MessageName(), Payload: []byte(`{"cents":1,"text":"a deposit at the counter"}`)}
		},
		project: func(sum *int64) projections.Projection {
			return projections.Define("additions", 1, projections.On(func(_ context.Context, sum *int64, e projections.Event[added]) error {
				*sum += e.Data.Cents
				return nil
			})).With(projections.FromKinds("tally")).Into(projections.InMemory(sum))
		},
		decode: func(payload []byte) (int64, error) {
			var e added
			err := json.Unmarshal(payload, &e)
			return e.Cents, err
		},
	}
}

// onMessages measures a projection in memory that begins at zero and chooses kinds and types.
func onMessages(name string, of func() messages) func(context.Context, *session) error {
	return func(ctx context.Context, s *session) error {
		m := of()
		return fresh(ctx, s, func(j store.Journal) error {
			events := s.scale.projected
			if err := fill(ctx, j, m.event, events); err != nil {
				return err
			}
			return beside(s, measure.Metric{
				Name: "projection-of-" + name + "-vs-by-hand", Unit: "events/s", Aim: durable(s, measure.AtLeast(0.85)),
				Is: "events/s that a projection in memory of chosen kinds and types applies from zero on, divided by those of a loop by hand with the same decoder",
			}, func() (float64, error) {
				sum := new(int64)
				rate, err := catchUp(ctx, j, events, m.project(sum))
				return rate, errors.Join(err, complete(int(*sum), events))
			}, func() (float64, error) {
				began, sum := time.Now(), int64(0)
				err := s.store.SelectAll(ctx, "sample", func(_ string, payload []byte) error {
					cents, err := m.decode(payload)
					sum += cents
					return err
				})
				return perSecond(events, began), errors.Join(err, complete(int(sum), events))
			})
		})
	}
}

// fill appends so many events to a hundred streams.
func fill(ctx context.Context, j store.Journal, event func() persistence.Event, count int) error {
	const streams = 100
	for n := 0; n < count; {
		batch := make([]persistence.Event, min(500, count-n))
		for i := range batch {
			batch[i] = event()
		}
		outcomes, err := j.Append(ctx, persistence.Append{Stream: persistence.StreamID(fmt.Sprint("tally-", n/500%streams)), Expected: persistence.Any, Events: batch})
		if err := errors.Join(err, outcomes[0].Err); err != nil {
			return err
		}
		n += len(batch)
	}
	return nil
}
