package scenario

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// An alarm sends a command to itself, or to a bell, at a time, which stands where
// commands of the bank have cents: in microseconds.
var (
	armIt     = actors.NewCommand[*bankpb.Withdraw, *bankpb.Balance]("alarm")
	ringAlarm = actors.NewCommand[*bankpb.Deposit, *bankpb.Balance]("alarm")
	ringBell  = actors.NewCommand[*bankpb.Deposit, *bankpb.Balance]("bell")
)

// alarm is the state of alarms and bells.
type alarm struct{ rung int }

// ringing records the alarms and bells that ring.
type ringing struct {
	mu    sync.Mutex  // protects the rest
	due   []time.Time // in the order in which it rang
	late  []time.Duration
	wants int
	done  chan struct{} // closed when as many as wanted have
}

func newRinging(wants int) *ringing { return &ringing{wants: wants, done: make(chan struct{})} }

func (r *ringing) aggregates() stele.Aggregates {
	rung := actors.On(func(a *alarm, _ *bankpb.Deposited) { a.rung++ })
	return stele.Aggregates{
		actors.Define("alarm", rung, actors.Sends[alarm](), actors.Handle(ringAlarm, r.ring), actors.Handle(armIt, arm)),
		actors.Define("bell", rung, actors.Handle(ringBell, r.ring)),
		plainTallies,
	}
}

// toBell reports that an alarm rings a bell and not itself: every other one does.
func toBell(id string) bool { return id[len(id)-1]%2 == 1 }

func arm(_ *alarm, tx *actors.Tx, c *bankpb.Withdraw) (*bankpb.Balance, error) {
	ring, after := &bankpb.Deposit{Cents: c.Cents}, max(0, time.UnixMicro(c.Cents).Sub(tx.Now()))
	if toBell(tx.ID) {
		ringBell.SendAfter(tx, after, tx.ID, ring)
	} else {
		ringAlarm.SendAfter(tx, after, tx.ID, ring)
	}
	return &bankpb.Balance{}, nil
}

// ring looks at the time and not at the state, which only what is measured may do.
func (r *ringing) ring(_ *alarm, tx *actors.Tx, c *bankpb.Deposit) (*bankpb.Balance, error) {
	due := time.UnixMicro(c.Cents)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.due, r.late = append(r.due, due), append(r.late, tx.Now().Sub(due))
	if len(r.due) == r.wants {
		close(r.done)
	}
	tx.Raise(&bankpb.Deposited{Cents: 1})
	return &bankpb.Balance{}, nil
}

// wait waits until all have rung.
func (r *ringing) wait(ctx context.Context) error {
	select {
	case <-r.done:
		return nil
	case <-time.After(5 * time.Minute):
		return fmt.Errorf("not all of %d timers have fired in five minutes", r.wants)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// armed is the event that stands in the stream of an alarm that was armed.
func armed(l *load.Lane, due time.Time) persistence.Event {
	id := string(l.Stream[len("alarm-"):])
	ring, _ := proto.Marshal(&bankpb.Deposit{Cents: due.UnixMicro()}) // cannot fail: no field is required
	sent := actorstest.Sent{Kind: "alarm", ID: id, Command: "bank.v1.Deposit", Payload: ring, Due: due}
	if toBell(id) {
		sent.Kind = "bell"
	}
	return actorstest.WithSent(persistence.Event{Headers: usualHeaders}, sent)
}

// alarms starts a node of alarms and bells on a journal and stops it after use.
func alarms(ctx context.Context, s *session, j store.Journal, r *ringing, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(ctx, stele.Config{
		Journal: j, Aggregates: r.aggregates(), MaxPending: 2 * s.scale.timers, AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
	return use(node)
}

// timers measures what pending timers cost, and how timers fire.
func timers() []part {
	return []part{
		{"pending", measurePending},
		{"live", onFresh(measureLateness)},
		{"after downtime", onFresh(measureDowntime)},
		{"start", onFresh(measureStart)},
	}
}

// measurePending measures commands while as many timers are pending as there may be, and the
// memory of each timer.
func measurePending(ctx context.Context, s *session) error {
	tomorrow := time.Now().Add(24 * time.Hour)
	var sizes []float64
	rounds, err := measure.Beside(s.Sheet, func() (float64, error) {
		rate, size, err := besidePending(ctx, s, s.scale.timers, func(l *load.Lane) persistence.Event { return armed(l, tomorrow) })
		sizes = append(sizes, float64(size)/float64(s.scale.timers))
		return rate, err
	}, func() (float64, error) {
		rate, _, err := besidePending(ctx, s, 1, func(l *load.Lane) persistence.Event {
			if l.Index == 0 { // so that it shows when the node has looked for timers
				return armed(l, tomorrow)
			}
			return deposited(l)
		})
		return rate, err
	})
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("commands-with-%d-timers-vs-none", s.scale.timers), Unit: "commands/s", Aim: measure.AtLeast(0.9),
		Is: "replies per second while timers are pending, divided by those with one timer",
	}, measure.Compared(rounds[0], measure.Identity))
	s.Middle(measure.Metric{
		Name: "pending-timer", Unit: "B", Aim: measure.AtMost(128),
		Is: "bytes of heap, divided by the pending timers",
	}, sizes)
	return nil
}

// besidePending lets all callers pay into tallies in a journal with many alarms that
// are armed or not, and returns what the node needed to know of them.
func besidePending(ctx context.Context, s *session, pending int, event func(*load.Lane) persistence.Event) (rate float64, size int64, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		if err := load.Each(j, "alarm", s.scale.timers, event); err != nil {
			return err
		}
		before := measure.LiveHeap()
		return alarms(ctx, s, j, newRinging(1), func(node *stele.Node) error {
			if err := until(ctx, func() bool { return node.Stats().Pending == pending }); err != nil {
				return err
			}
			size = measure.LiveHeap() - before
			ids := accountIDs(s.scale.many)
			_, err := load.Once(s.scale.callers, len(ids), func(i int) error { return pay(ctx, node, ids[i]) })
			if err != nil {
				return err
			}
			l, err := load.ClosedLoop(s.scale.callers, s.scale.window, func(caller, i int) error {
				return pay(ctx, node, ids[(caller+i*s.scale.callers)%len(ids)])
			})
			rate = l.Rate()
			return err
		})
	})
	return rate, size, err
}

// timerRate is the number of timers that come due in a second.
const timerRate = 1000

// measureLateness has timers come due at a rate, armed some seconds before.
func measureLateness(ctx context.Context, s *session, j store.Journal) error {
	span := 5 * s.scale.window
	count := max(1, int(timerRate*span.Seconds()))
	r := newRinging(count)
	return alarms(ctx, s, j, r, func(node *stele.Node) error {
		first := time.Now().Add(min(span, 3*time.Second))
		_, err := load.Once(s.scale.callers, count, func(i int) error {
			_, err := armIt.Ask(ctx, node, fmt.Sprint(i), &bankpb.Withdraw{Cents: first.Add(time.Duration(i) * time.Second / timerRate).UnixMicro()})
			return err
		})
		if err == nil {
			err = r.wait(ctx)
		}
		if err != nil {
			return err
		}
		late := load.NewHistogram()
		for _, by := range r.late {
			if by < 0 {
				return fmt.Errorf("a timer fired %s before its time", -by)
			}
			_ = late.RecordValue(int64(by)) // fails above a minute, which the wait does not allow
		}
		name := fmt.Sprintf("timer-late-at-%d/s", timerRate)
		percentiles(s, name, "time from when a timer is due to the decision of its command", late, 50)
		s.Value(measure.Metric{
			Name: name + "-p99", Unit: "µs", Aim: measure.AtMost(100_000),
			Is: "the same, which 99 % take at most",
		}, float64(late.ValueAtQuantile(99))/1e3)
		return rangOnce(ctx, j, count)
	})
}

// rangOnce fails unless each alarm or its bell has rung once, as the journal has it.
func rangOnce(ctx context.Context, j store.Journal, count int) (err error) {
	var rung map[persistence.StreamID]int
	all := 0
	waited := until(ctx, func() bool { // what rang last may not be stored yet
		rung, all, err = rungIn(ctx, j)
		return err != nil || all >= count
	})
	if err = errors.Join(err, waited); err != nil {
		return err
	}
	if len(rung) != count || all != count {
		return fmt.Errorf("%d of %d timers fired, %d times", len(rung), count, all)
	}
	return nil
}

// rung reads how often each has rung.
func rungIn(ctx context.Context, j store.Journal) (rung map[persistence.StreamID]int, all int, err error) {
	rung = map[persistence.StreamID]int{}
	options := persistence.ReadAllOptions{Filter: filter.Category().In("alarm", "bell"), PageRows: 2000}
	for page, err := range j.ReadAll(ctx, options) {
		if err != nil {
			return nil, 0, err
		}
		for i := range page.Events {
			if page.Events[i].Type == "bank.v1.Deposited" {
				rung[page.Events[i].Stream]++
				all++
			}
		}
	}
	return rung, all, nil
}

// measureDowntime starts a node on a journal with timers that came due in an hour
// without one.
func measureDowntime(ctx context.Context, s *session, j store.Journal) error {
	count, now := s.scale.late, time.Now()
	err := load.Each(j, "alarm", count, func(l *load.Lane) persistence.Event {
		return armed(l, now.Add(-time.Hour+time.Duration(l.Index)*time.Hour/time.Duration(count)))
	})
	if err != nil {
		return err
	}
	r := newRinging(count)
	began := time.Now()
	return alarms(ctx, s, j, r, func(*stele.Node) error {
		if err := r.wait(ctx); err != nil {
			return err
		}
		s.Value(measure.Metric{
			Name: fmt.Sprintf("%d-late-timers", count), Unit: "s", Aim: measure.AtMost(12 * float64(count) / 10_000),
			Is: "time from the start of a node to the last timer that came due without one",
		}, time.Since(began).Seconds())
		inTime := slices.SortedFunc(slices.Values(r.due), time.Time.Compare)
		places := 0.0
		for i, due := range r.due {
			at, _ := slices.BinarySearchFunc(inTime, due, time.Time.Compare)
			places += math.Abs(float64(at - i))
		}
		s.Value(measure.Metric{
			Name: "late-timer-out-of-order", Unit: "places", Aim: measure.AtMost(256),
			Is: "places between where late timers fire and their order in time, divided by the timers",
		}, places/float64(count))
		return rangOnce(ctx, j, count)
	})
}

// measureStart measures how long a node takes to find a timer that is due, in a journal
// with many events of its kind and of others: with a list of what is open, and without.
func measureStart(ctx context.Context, s *session, j store.Journal) error {
	for _, kind := range []string{"tally", "alarm"} {
		lanes := load.NewLanes(kind+"-past", 100)
		length := persistence.Version(max(1, s.scale.timers/len(lanes)))
		if _, err := load.Pump(j, lanes, deposited, load.UpTo(length)); err != nil {
			return err
		}
	}
	var rounds []measure.Comparison
	for round := 0; s.Another(round); round++ {
		var c measure.Comparison
		var err error
		if c.Ceiling, err = find(ctx, s, j, round, false); err == nil {
			c.Ours, err = find(ctx, s, j, round, true)
		}
		if err != nil {
			return err
		}
		rounds = append(rounds, c)
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("timer-after-start-behind-%d-events-with-list-vs-without", 2*s.scale.timers), Unit: "ms",
		Is: "time from start to the first timer with a saved list of unfinished commands, divided by that without",
	}, rounds)
	return nil
}

// find starts a node and returns how many milliseconds it takes until a timer fires
// that is due.
func find(ctx context.Context, s *session, j store.Journal, round int, withList bool) (millis float64, err error) {
	if !withList {
		for info, err := range j.List(ctx, persistence.ListOptions{Prefix: "$open-", System: true}) {
			if err != nil {
				return 0, err
			}
			if _, err := j.Delete(ctx, info.Stream, persistence.Any); err != nil {
				return 0, err
			}
		}
	}
	if err := load.Each(j, fmt.Sprintf("alarm-%d-%t", round, withList), 1, func(l *load.Lane) persistence.Event { return armed(l, time.Now()) }); err != nil {
		return 0, err
	}
	r := newRinging(1)
	began := time.Now()
	err = alarms(ctx, s, j, r, func(node *stele.Node) error {
		if err := r.wait(ctx); err != nil {
			return err
		}
		millis = float64(time.Since(began).Microseconds()) / 1e3
		if withList || 2*s.scale.timers < 100_000 { // too few for a list
			return nil
		}
		return until(ctx, func() bool { return node.Stats().OpenLists > 0 })
	})
	return millis, err
}
