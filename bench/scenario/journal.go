package scenario

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// journal measures a journal by itself, without aggregates.
func journal() []part {
	return []part{
		{"appends", measureAllAppends},
		{"statements", measureStatements},
		{"expectations", measureExpectations},
		{"nodes", measureNodes},
		{"delivery", measureDelivery},
		{"reads", measureReads},
	}
}

func measureAllAppends(ctx context.Context, s *session) error {
	for _, writers := range s.scale.appends {
		measure := measureAppends
		if writers == 1 {
			measure = measureSingle
		}
		if err := measure(ctx, s, writers); err != nil {
			return fmt.Errorf("append from %d: %w", writers, err)
		}
	}
	return nil
}

// measureAppends measures the throughput of this many writers, divided by that of the rivals.
// For the largest number of writers it also measures the cost of their appends.
func measureAppends(ctx context.Context, s *session, writers int) error {
	latencies := load.NewHistogram()
	ours := func() (load.Result, error) {
		l, err := appends(ctx, s, writers)
		if err == nil {
			latencies.Merge(l.Latency)
		}
		return l, err
	}
	metric := fmt.Sprintf("append-%d", writers)
	rounds, err := beat(ctx, s, measure.Metric{
		Name: metric, Unit: "events/s", Is: fmt.Sprintf("events/s of %d aggregates that append one each, divided by rows/s of", writers),
	}, writers, ours, load.Result.Rate)
	if err != nil {
		return err
	}
	percentiles(s, metric, "time from submitting an append to its outcome", latencies, 50, 99, 99.9)
	if writers != s.scale.appends[0] {
		return nil
	}
	slowest := make([]measure.Comparison, len(rounds))
	for i := range rounds {
		slowest[i] = measure.Comparison{Ours: rounds[i].Ours.Micros(99.9), Ceiling: rounds[i].Ours.Middle()}
	}
	s.Against(measure.Metric{
		Name: metric + "-p99.9-vs-p50", Unit: "µs", Aim: durable(s, measure.AtMost(3)),
		Is: "time that 99.9 % of the appends take at most, divided by the median",
	}, slowest)
	return reportCosts(ctx, s, writers, rounds)
}

// reportCosts reports the cost of one event, divided by that of the first rival.
func reportCosts(ctx context.Context, s *session, writers int, rounds []measure.Neighbours[load.Result]) error {
	generator, err := generator(ctx, s, writers)
	if err != nil {
		return err
	}
	client, log, server := make([]float64, len(rounds)), make([]float64, len(rounds)), true
	for i, r := range rounds {
		client[i], log[i] = r.Ours.ClientTime()-generator, r.Ours.Logged()
		server = server && r.Before.Cost.Server > 0 && r.Ours.Cost.Server > 0 && r.After.Cost.Server > 0
	}
	own := measure.Metric{
		Name: "client-time-per-event", Unit: "µs",
		Is: "processor time of this process, divided by the events appended; less what making them takes",
	}
	if _, apart := s.store.(load.Meter); !apart {
		s.Middle(own, client)
		return nil
	}
	own.Aim = measure.AtMost(2)
	s.Middle(own, client)
	rival := s.store.Rivals()[0]
	if server {
		s.Against(measure.Metric{
			Name: "server-time-per-event-vs-" + rival.Name, Unit: "µs", Aim: measure.AtMost(1.4),
			Is: "processor time of the server for each event, divided by that of " + rival.Is,
		}, measure.Compared(rounds, load.Result.ServerTime))
	}
	s.Middle(measure.Metric{
		Name: "log-per-event", Unit: "B", Aim: measure.AtMost(640),
		Is: "bytes of the server's log, divided by the events appended",
	}, log)
	s.Against(measure.Metric{
		Name: "log-per-event-vs-" + rival.Name, Unit: "B",
		Is: "bytes of log for each event, divided by those of " + rival.Is,
	}, measure.Compared(rounds, load.Result.Logged))
	return nil
}

// generator is the processor time, in microseconds, that this process takes to make an event
// and receive its outcome when the journal does nothing. This time is not the journal's.
func generator(ctx context.Context, s *session, writers int) (float64, error) {
	l, err := load.Metered(ctx, load.Within{}, func() (load.Result, error) {
		return load.Pump(nothing{}, load.NewLanes("bench", writers), s.rows.Event, load.During(s.scale.window/4))
	})
	return l.ClientTime(), err
}

// nothing fulfils persistence.Submitter and stores nothing.
type nothing struct{}

func (nothing) Submit(a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
	done(persistence.Outcome{Last: persistence.Version(a.Expected) + persistence.Version(len(a.Events))})
	return nil
}

// beat compares a figure with that of every rival for this many writers, whose words
// complete those of the metric, and returns the rounds of the first one.
func beat(ctx context.Context, s *session, metric measure.Metric, writers int, ours measure.Sample[load.Result], figure func(load.Result) float64) ([]measure.Neighbours[load.Result], error) {
	var rivals []store.Rival
	var samples []measure.Sample[load.Result]
	for _, r := range s.store.Rivals() {
		if _, measured := r.Aims[writers]; !measured {
			continue
		}
		rivals = append(rivals, r)
		samples = append(samples, func() (load.Result, error) {
			l, err := r.Run(ctx, writers, s.scale.window)
			if err != nil {
				return load.Result{}, fmt.Errorf("measure the rival %s: %w", r.Name, err)
			}
			return l, nil
		})
	}
	rounds, err := measure.Beside(s.Sheet, ours, samples...)
	if err != nil {
		return nil, err
	}
	for i := range rounds {
		s.Against(measure.Metric{
			Name: metric.Name + "-vs-" + rivals[i].Name, Unit: metric.Unit, Aim: rivals[i].Aims[writers],
			Is: metric.Is + " " + rivals[i].Is,
		}, measure.Compared(rounds[i], figure))
	}
	return rounds[0], nil
}

// appends lets aggregates append, each of which waits for its outcome. Their streams exist
// already: making a stream is not part of an append.
func appends(ctx context.Context, s *session, writers int) (l load.Result, err error) {
	m, ok := s.store.(load.Meter)
	if !ok {
		m = load.Within{}
	}
	err = fresh(ctx, s, func(j store.Journal) error {
		lanes := load.NewLanes("bench", writers)
		if _, err := load.Pump(j, lanes, s.rows.Event, load.UpTo(1)); err != nil {
			return err
		}
		l, err = load.Metered(ctx, m, func() (load.Result, error) { return load.Pump(j, lanes, s.rows.Event, load.During(s.scale.window)) })
		return err
	})
	return l, err
}
