package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"time"
	"unsafe"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// measureCommand measures commands of the bank example from Ask to reply.
func measureCommand(s *session) error {
	for _, part := range []struct {
		name string
		do   func() error
	}{
		{"throughput", s.measureThroughput},
		{"latency", s.measureLatency},
		{"memory and recovery", s.measureAggregates},
		{"transfers", s.measureTransfers},
		{"keys, metadata and snapshots", s.measureExtras},
		{"overload", s.measureOverload},
		{"a long history", s.measureLong},
	} {
		if err := part.do(); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return nil
}

// withNode starts a node on a journal and stops it after use.
func (s *session) withNode(j journal, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(s.ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{bank.Accounts},
		// Nothing leaves memory while it is measured, and a machine that stands still
		// for a while spoils a figure, not the run.
		Idle: time.Hour, MaxActive: 2 * max(s.scale.idle, s.scale.many), AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(s.ctx))) }()
	return use(node)
}

// accounts opens accounts on a fresh journal and hands them over.
func (s *session) accounts(count int, use func(journal, *stele.Node, []string) error) error {
	return s.fresh(func(j journal) error {
		return s.withNode(j, func(node *stele.Node) error {
			ids := accountIDs(count)
			_, err := once(s.scale.callers, count, func(i int) error {
				_, err := bank.Open.Ask(s.ctx, node, ids[i], &bankpb.Open{Owner: ids[i]})
				return err
			})
			if err != nil {
				return err
			}
			return use(j, node, ids)
		})
	})
}

func accountIDs(count int) []string {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

func (s *session) deposit(node *stele.Node, id string) error {
	_, err := bank.Deposit.Ask(s.ctx, node, id, &bankpb.Deposit{Cents: 1})
	return err
}

// deposits lets all callers deposit for a time, each going round the accounts.
func (s *session) deposits(accounts int) (l load, used usage, err error) {
	err = s.accounts(accounts, func(_ journal, node *stele.Node, ids []string) error {
		before := usageNow()
		l, err = closedLoop(s.scale.callers, s.scale.window, func(caller, i int) error {
			return s.deposit(node, ids[(caller+i*s.scale.callers)%len(ids)])
		})
		used = usageNow().minus(before)
		return err
	})
	return l, used, err
}

// measureThroughput measures many aggregates beside the bare journal, and one hot
// aggregate beside many.
func (s *session) measureThroughput() error {
	var total usage
	commands := 0
	many := func() (float64, error) {
		l, used, err := s.deposits(s.scale.many)
		total, commands = total.plus(used), commands+l.count
		return l.rate(), err
	}
	hot := func() (float64, error) {
		l, _, err := s.deposits(1)
		return l.rate(), err
	}
	fed, err := beside(s, many, s.fed)
	if err != nil {
		return err
	}
	heated, err := beside(s, hot, many)
	if err != nil {
		return err
	}
	throughput, allocations := none, none
	if s.journal == "memory" { // a journal that flushes has other limits
		throughput, allocations = atLeast(250_000), atMost(15)
	}
	callers := fmt.Sprintf("%d-callers", s.scale.callers)
	rates := make([]float64, len(fed[0]))
	for i := range fed[0] {
		rates[i] = fed[0][i].ours
	}
	s.middle("commands-"+callers, rates, "commands/s", throughput)
	s.against("commands-"+callers+"-vs-appender", compared(fed[0], identity), "commands/s", none)
	s.against("hot-aggregate-"+callers+fmt.Sprintf("-vs-%d", s.scale.many), compared(heated[0], identity), "commands/s", atLeast(0.8))
	s.value("allocations-per-command", total.objects/float64(commands), "objects", allocations)
	s.value("allocated-per-command", total.bytes/float64(commands), "B", none)
	s.value("processor-time-per-command", total.processor.Seconds()*1e6/float64(commands), "µs", none)
	return nil
}

// fed is the journal without aggregates: as many goroutines as callers append
// the same events, each to streams of its own so that none waits for another.
func (s *session) fed() (rate float64, err error) {
	err = s.fresh(func(j journal) error {
		each := max(1, s.scale.many/s.scale.callers)
		writers := make([]writer, s.scale.callers)
		for i := range writers {
			writers[i] = newWriter(j, newLanes(fmt.Sprint("account-", i), each), func(l *lane) persistence.Append { return l.exactly(deposited(l)) })
		}
		if _, err := once(len(writers), len(writers)*each, func(i int) error { return writers[i%len(writers)].append(i / len(writers)) }); err != nil {
			return err
		}
		l, err := closedLoop(len(writers), s.scale.window, func(caller, i int) error { return writers[caller].append(i) })
		rate = l.rate()
		return err
	})
	return rate, err
}

// measureLatency measures one caller who waits for each reply, and all callers
// at a rate that they can easily keep.
func (s *session) measureLatency() error {
	one := newHistogram()
	err := s.accounts(1, func(j journal, node *stele.Node, ids []string) error {
		l, err := single(s.scale.window, func(int) error { return s.deposit(node, ids[0]) })
		one.Merge(l.latency)
		return err
	})
	if err != nil {
		return err
	}
	s.percentiles("latency-1-caller", one, 50, 99, 99.9)

	rate, err := s.halfRate()
	if err != nil {
		return err
	}
	open := newHistogram()
	err = s.accounts(s.scale.many, func(_ journal, node *stele.Node, ids []string) error {
		l, err := openLoop(s.ctx, s.scale.callers, rate, 2*s.scale.window, func(caller, i int) error {
			return s.deposit(node, ids[(caller+i*s.scale.callers)%len(ids)])
		})
		open.Merge(l.latency)
		return err
	})
	if err != nil {
		return err
	}
	s.value("fixed-rate", rate, "commands/s", none)
	s.percentiles("latency-at-fixed-rate", open, 50, 99, 99.9)
	return nil
}

// halfRate is half of what the callers reach when they do not pause.
func (s *session) halfRate() (float64, error) {
	l, _, err := s.deposits(s.scale.many)
	return l.rate() / 2, err
}

// measureAggregates measures what live aggregates need of memory, and how fast
// they are read again by a node that starts.
func (s *session) measureAggregates() (err error) {
	const space = "accounts"
	defer func() { err = errors.Join(err, s.store.drop(context.WithoutCancel(s.ctx), space)) }()
	ids := accountIDs(s.scale.idle)
	if err := s.measureIdle(space, ids); err != nil {
		return fmt.Errorf("measure memory: %w", err)
	}
	goal := none
	if s.journal == "postgres" {
		goal = atLeast(0.25)
	}
	return s.besideScan("recovery", space, func() (float64, error) { return s.recovery(space, ids) }, goal)
}

// measureIdle fills the journal, has all aggregates activated, and compares the
// heap before and after. What the journal remembers of the streams is there
// before.
func (s *session) measureIdle(space string, ids []string) (err error) {
	j, err := s.store.open(s.ctx, space)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	if err := fill(j, "account", len(ids), account); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return s.withNode(j, func(node *stele.Node) error {
		before := liveHeap()
		if err := s.showAll(node, ids); err != nil {
			return err
		}
		each := float64(liveHeap()-before) / float64(len(ids))
		runtime.KeepAlive(ids)
		s.value("idle-aggregate", each, "B", none)
		s.value("idle-aggregate-beside-state", each-float64(unsafe.Sizeof(bank.Account{})), "B", atMost(2048))
		return nil
	})
}

// liveHeap is what is reachable. Pools give back what they hold in the second
// collection.
func liveHeap() int64 {
	for range 3 {
		runtime.GC()
	}
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc)
}

// recovery starts a node on a journal that was opened anew, and returns how many
// events per second come back when every aggregate is asked something.
func (s *session) recovery(space string, ids []string) (rate float64, err error) {
	j, err := s.store.open(s.ctx, space)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, j.Close()) }()
	err = s.withNode(j, func(node *stele.Node) error {
		start := time.Now()
		if err := s.showAll(node, ids); err != nil {
			return err
		}
		rate = float64(len(ids)*eventsEach) / time.Since(start).Seconds()
		return nil
	})
	return rate, err
}

// showAll asks every account for its balance, which must be that of its events.
func (s *session) showAll(node *stele.Node, ids []string) error {
	_, err := once(4*s.scale.callers, len(ids), func(i int) error {
		balance, err := bank.Show.Ask(s.ctx, node, ids[i], &bankpb.Show{})
		if err == nil && balance.Cents != eventsEach-1 {
			err = fmt.Errorf("account %s has %d cents", ids[i], balance.Cents)
		}
		return err
	})
	return err
}

// account is the next event of an account that is opened and then paid into.
func account(l *lane) persistence.Event {
	if l.version == 0 {
		return bankEvent(&bankpb.Opened{Owner: string(l.stream)})
	}
	return deposited(l)
}

func deposited(*lane) persistence.Event { return bankEvent(&bankpb.Deposited{Cents: 1}) }

// bankEvent is an event as the runtime stores it, with headers of the usual size.
func bankEvent(message proto.Message) persistence.Event {
	payload, _ := proto.Marshal(message) // cannot fail: no field is required
	return persistence.Event{Type: string(message.ProtoReflect().Descriptor().FullName()), Payload: payload, Headers: usualHeaders}
}

// usualHeaders are those of a deposit.
var usualHeaders, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
	CommandId: make([]byte, 16), Command: "bank.v1.Deposit", CorrelationId: make([]byte, 16), Reply: make([]byte, 2),
})
