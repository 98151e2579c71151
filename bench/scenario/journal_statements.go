package scenario

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// Streams of the journals that statements are measured on, and how often each is
// measured.
const (
	fewStreams   = 100
	measuredEach = 31
)

// statement is a call of a journal that sends one statement, or a few.
type statement struct {
	name string
	// call is given how often it was called before.
	call func(ctx context.Context, j persistence.Journal, n int) error
}

// measureStatements measures each call of a journal alone: on an empty journal, on one with
// a few streams and on one with many. The cost of a statement must not depend on the size of
// the journal.
func measureStatements(ctx context.Context, s *session) error {
	var empty map[string]float64
	for _, size := range []struct {
		name    string
		streams int
	}{{"empty", 0}, {"small", fewStreams}, {"large", s.scale.read}} {
		times, err := statementTimes(ctx, s, size.streams)
		if err != nil {
			return fmt.Errorf("of a journal that is %s: %w", size.name, err)
		}
		if empty == nil {
			empty = times
		}
		for _, st := range statements() {
			metric := "statement-" + st.name + "-" + size.name
			if size.streams == 0 {
				s.Value(measure.Metric{
					Name: metric, Unit: "µs", Aim: durable(s, measure.AtMost(20_000)),
					Is: "median time of one call on an empty journal",
				}, times[st.name])
				continue
			}
			s.Against(measure.Metric{
				Name: metric, Unit: "µs", Aim: durable(s, measure.AtMost(5)),
				Is: fmt.Sprintf("median time of one call on a journal with %d streams, divided by that on an empty one", size.streams),
			}, []measure.Comparison{{Ours: times[st.name], Ceiling: empty[st.name]}})
		}
	}
	return nil
}

// timesOf is the median time of each statement, in microseconds.
func statementTimes(ctx context.Context, s *session, streams int) (times map[string]float64, err error) {
	const space = "statements"
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return nil, err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.Drop(context.WithoutCancel(ctx), space))
	}()
	if streams > 0 {
		if err := load.Fill(j, "bench", streams, s.rows.Event); err != nil {
			return nil, fmt.Errorf("fill: %w", err)
		}
	}
	// The stream and the tag that reads ask for.
	for range 3 {
		if err := stored(ctx, j, persistence.Append{Stream: "measured-0", Expected: persistence.Any, Events: []persistence.Event{{Type: "t", Tags: []string{"rare"}}}}); err != nil {
			return nil, err
		}
	}
	times = map[string]float64{}
	for _, st := range statements() {
		samples := make([]float64, measuredEach)
		for n := range samples {
			began := time.Now()
			if err := st.call(ctx, j, n); err != nil {
				return nil, fmt.Errorf("%s: %w", st.name, err)
			}
			samples[n] = float64(time.Since(began)) / float64(time.Microsecond)
		}
		slices.Sort(samples)
		times[st.name] = samples[len(samples)/2]
	}
	return times, nil
}

// stored appends, and requires that it was stored.
func stored(ctx context.Context, to persistence.Appender, a persistence.Append) error {
	outcomes, err := to.Append(ctx, a)
	if err == nil {
		err = outcomes[0].Err
	}
	return err
}

// statements are all calls, in an order in which each finds what it needs: a stream must
// exist before it is read, and is deleted after it was truncated.
func statements() []statement {
	return slices.Concat(appendStatements(), streamStatements(), readStatements(), abilityStatements())
}

func oneEvent() []persistence.Event { return []persistence.Event{{Type: "t"}} }

// ownStream is the stream of the nth call.
func ownStream(n int) persistence.StreamID { return persistence.StreamID(fmt.Sprintf("named-%d", n)) }

// firstPage reads one page of the global sequence.
func firstPage(ctx context.Context, j persistence.Journal, options persistence.ReadAllOptions) error {
	options.PageRows = 10
	for _, err := range j.ReadAll(ctx, options) {
		return err
	}
	return nil
}

func readMeasured(ctx context.Context, j persistence.Journal, options persistence.ReadOptions) error {
	for _, err := range j.Read(ctx, "measured-0", options) {
		if err != nil {
			return err
		}
	}
	return nil
}

// appendStatements are the calls that append.
func appendStatements() []statement {
	return []statement{
		{"append-new", func(ctx context.Context, j persistence.Journal, n int) error {
			return stored(ctx, j, persistence.Append{Stream: ownStream(n), Expected: persistence.NoStream, Events: oneEvent()})
		}},
		{"append-exact", func(ctx context.Context, j persistence.Journal, n int) error {
			return stored(ctx, j, persistence.Append{Stream: ownStream(n), Expected: persistence.Exact(1), Events: oneEvent()})
		}},
		{"append-any", func(ctx context.Context, j persistence.Journal, n int) error {
			return stored(ctx, j, persistence.Append{Stream: ownStream(n), Expected: persistence.Any, Events: oneEvent()})
		}},
		{"append-named", func(ctx context.Context, j persistence.Journal, n int) error {
			events := oneEvent()
			events[0].ID = persistence.NewEventID()
			return stored(ctx, j, persistence.Append{Stream: ownStream(n), Expected: persistence.Any, Events: events})
		}},
		{"append-nothing", func(ctx context.Context, j persistence.Journal, n int) error {
			return stored(ctx, j, persistence.Append{Stream: ownStream(n), Expected: persistence.Any})
		}},
		{"transact", func(ctx context.Context, j persistence.Journal, n int) error {
			able, ok := persistence.As[persistence.Transactor](j)
			if !ok {
				return nil
			}
			return able.Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(persistence.Append{Stream: ownStream(n), Expected: persistence.Any, Events: oneEvent()})
				return err
			})
		}},
	}
}

// streamStatements are the calls about streams.
func streamStatements() []statement {
	return []statement{
		{"create", func(ctx context.Context, j persistence.Journal, n int) error {
			return j.Create(ctx, persistence.StreamID(fmt.Sprintf("made-%d", n)), nil)
		}},
		{"set-metadata", func(ctx context.Context, j persistence.Journal, n int) error {
			_, err := j.SetMetadata(ctx, "measured-0", persistence.Metadata{"n": persistence.Int(int64(n))}, persistence.AnyRevision)
			return err
		}},
		{"truncate", func(ctx context.Context, j persistence.Journal, n int) error {
			_, err := j.Truncate(ctx, ownStream(n), 2)
			return err
		}},
		{"delete", func(ctx context.Context, j persistence.Journal, n int) error {
			_, err := j.Delete(ctx, ownStream(n), persistence.Any)
			return err
		}},
		{"stream", func(ctx context.Context, j persistence.Journal, _ int) error {
			_, err := j.Stream(ctx, "measured-0")
			return err
		}},
		{"head", func(ctx context.Context, j persistence.Journal, _ int) error { _, err := j.Head(ctx); return err }},
		{"list", func(ctx context.Context, j persistence.Journal, _ int) error {
			for _, err := range j.List(ctx, persistence.ListOptions{Limit: 10}) {
				if err != nil {
					return err
				}
			}
			return nil
		}},
	}
}

// readStatements are the calls that read events.
func readStatements() []statement {
	rare := filter.Tag().Eq("rare")
	return []statement{
		{"read", func(ctx context.Context, j persistence.Journal, _ int) error {
			return readMeasured(ctx, j, persistence.ReadOptions{})
		}},
		{"read-backward", func(ctx context.Context, j persistence.Journal, _ int) error {
			return readMeasured(ctx, j, persistence.ReadOptions{Backward: true, Limit: 1})
		}},
		{"read-chosen", func(ctx context.Context, j persistence.Journal, _ int) error {
			return readMeasured(ctx, j, persistence.ReadOptions{Filter: rare})
		}},
		{"read-all", func(ctx context.Context, j persistence.Journal, _ int) error {
			return firstPage(ctx, j, persistence.ReadAllOptions{})
		}},
		{"read-all-backward", func(ctx context.Context, j persistence.Journal, _ int) error {
			return firstPage(ctx, j, persistence.ReadAllOptions{Backward: true})
		}},
		{"read-tagged", func(ctx context.Context, j persistence.Journal, _ int) error {
			return firstPage(ctx, j, persistence.ReadAllOptions{Filter: rare})
		}},
	}
}

// abilityStatements are the calls that only some journals have.
func abilityStatements() []statement {
	return []statement{
		{"save-snapshot", func(ctx context.Context, j persistence.Journal, _ int) error {
			able, ok := persistence.As[persistence.Snapshots](j)
			if !ok {
				return nil
			}
			return able.SaveSnapshot(ctx, persistence.Snapshot{Stream: "measured-0", Version: 1, EventID: persistence.NewEventID(), State: []byte("state")})
		}},
		{"load-snapshot", func(ctx context.Context, j persistence.Journal, _ int) error {
			able, ok := persistence.As[persistence.Snapshots](j)
			if !ok {
				return nil
			}
			_, _, err := able.LoadSnapshot(ctx, "measured-0")
			return err
		}},
		{"register-schema", func(ctx context.Context, j persistence.Journal, n int) error {
			able, ok := persistence.As[persistence.Schemas](j)
			if !ok {
				return nil
			}
			_, err := able.RegisterSchema(ctx, persistence.JSON, fmt.Appendf(nil, `{"n":%d}`, n))
			return err
		}},
		{"schemas", func(ctx context.Context, j persistence.Journal, _ int) error {
			able, ok := persistence.As[persistence.Schemas](j)
			if !ok {
				return nil
			}
			_, err := able.Schemas(ctx)
			return err
		}},
	}
}
