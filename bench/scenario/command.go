package scenario

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// command measures commands of the bank example from Ask to reply.
func command() []part {
	return []part{
		{"throughput", measureThroughput},
		{"latency", measureLatency},
		{"memory and recovery", measureAggregates},
		{"transfers", measureTransfers},
		{"keys, metadata and snapshots", measureExtras},
		{"overload", measureOverload},
		{"a long history", measureLong},
	}
}

// measureThroughput measures the rate of many aggregates, divided by that of the bare
// journal; and the rate of one hot aggregate, divided by that of many.
func measureThroughput(ctx context.Context, s *session) error {
	var total measure.Usage
	commands := 0
	many := func() (float64, error) {
		l, used, err := deposits(ctx, s, s.scale.many)
		total, commands = total.Plus(used), commands+l.Count
		return l.Rate(), err
	}
	hot := func() (float64, error) {
		l, _, err := deposits(ctx, s, 1)
		return l.Rate(), err
	}
	fed, err := measure.Beside(s.Sheet, many, func() (float64, error) { return fed(ctx, s) })
	if err != nil {
		return err
	}
	heated, err := measure.Beside(s.Sheet, hot, many)
	if err != nil {
		return err
	}
	reportRates(s, fed[0], heated[0])
	reportUsage(s, total, commands)
	return nil
}

// inMemory is an aim for journals in memory: a journal that flushes has other limits.
func inMemory(s *session, a measure.Aim) measure.Aim {
	if s.Journal == "memory" {
		return a
	}
	return measure.None
}

func reportRates(s *session, fed, heated []measure.Neighbours[float64]) {
	callers := fmt.Sprintf("%d-callers", s.scale.callers)
	rates := make([]float64, len(fed))
	for i := range fed {
		rates[i] = fed[i].Ours
	}
	s.Middle(measure.Metric{
		Name: "commands-" + callers, Unit: "commands/s", Aim: inMemory(s, measure.AtLeast(250_000)),
		Is: fmt.Sprintf("replies per second to %d callers who ask %d aggregates", s.scale.callers, s.scale.many),
	}, rates)
	s.Against(measure.Metric{
		Name: "commands-" + callers + "-vs-appender", Unit: "commands/s",
		Is: "replies per second, divided by appends/s of as many goroutines to the bare journal",
	}, measure.Compared(fed, measure.Identity))
	s.Against(measure.Metric{
		Name: "hot-aggregate-" + callers + fmt.Sprintf("-vs-%d", s.scale.many), Unit: "commands/s", Aim: measure.AtLeast(0.8),
		Is: fmt.Sprintf("replies per second of one aggregate, divided by those of %d", s.scale.many),
	}, measure.Compared(heated, measure.Identity))
}

// reportUsage reports what the commands took of this process.
func reportUsage(s *session, total measure.Usage, commands int) {
	s.Value(measure.Metric{
		Name: "allocations-per-command", Unit: "objects", Aim: inMemory(s, measure.AtMost(15)),
		Is: "objects from the heap, divided by commands",
	}, total.Objects/float64(commands))
	s.Value(measure.Metric{
		Name: "allocated-per-command", Unit: "B",
		Is: "bytes from the heap, divided by commands",
	}, total.Bytes/float64(commands))
	s.Value(measure.Metric{
		Name: "processor-time-per-command", Unit: "µs",
		Is: "processor time of this process, divided by commands",
	}, total.Processor.Seconds()*1e6/float64(commands))
}

// fed is the journal without aggregates: as many goroutines as callers append
// the same events, each to streams of its own so that none waits for another.
func fed(ctx context.Context, s *session) (rate float64, err error) {
	err = fresh(ctx, s, func(j store.Journal) error {
		each := max(1, s.scale.many/s.scale.callers)
		writers := make([]load.Writer, s.scale.callers)
		for i := range writers {
			writers[i] = load.NewWriter(j, load.NewLanes(fmt.Sprint("account-", i), each), func(l *load.Lane) persistence.Append { return l.Exactly(deposited(l)) })
		}
		if _, err := load.Once(len(writers), len(writers)*each, func(i int) error { return writers[i%len(writers)].Append(i / len(writers)) }); err != nil {
			return err
		}
		l, err := load.ClosedLoop(len(writers), s.scale.window, func(caller, i int) error { return writers[caller].Append(i) })
		rate = l.Rate()
		return err
	})
	return rate, err
}
