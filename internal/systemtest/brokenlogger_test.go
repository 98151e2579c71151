package systemtest

import (
	"context"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// endingLog notes each line, and does not return then.
type endingLog struct {
	slog.Handler
	end   func()
	mu    sync.Mutex // protects lines
	lines []string
}

func (*endingLog) Enabled(context.Context, slog.Level) bool { return true }

func (l *endingLog) Handle(_ context.Context, record slog.Record) error {
	l.mu.Lock()
	l.lines = append(l.lines, record.Message)
	l.mu.Unlock()
	l.end()
	return nil
}

// Wherever a logger enters, its handler may panic or end its goroutine: lines are lost,
// and nothing else.
func TestALoggerThatDoesNotReturnEndsNobodyElse(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"panic": func() { panic("secret") }, "goexit": runtime.Goexit} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log := &endingLog{Handler: slog.DiscardHandler, end: end}
			journal := hooks.New(hooks.Config{Journal: new(memory.Journal), Logger: slog.New(log)})
			journal.Add(hooks.Hook{Name: "bad", AfterAppend: func(context.Context, *persistence.Append, persistence.Outcome) { panic("secret") }})
			mad := actors.NewCommand[visit, visited]("mad")
			reads := func(name string) projections.Projection {
				return projections.Define(name, 1, projections.On(func(context.Context, *int, projections.Event[*wrapperspb.UInt64Value]) error {
					if name == "mad" {
						panic("secret")
					}
					return nil
				})).With(projections.Retries(0, 0), projections.FromKinds("counter", "nobody")).Into(projections.InMemory(new(int)))
			}
			node, err := stele.Start(t.Context(), stele.Config{
				Journal: journal, Logger: slog.New(log), Around: []actors.Around{actors.LogAround(slog.New(log))},
				Aggregates:  stele.Aggregates{Counters, actors.Define("mad", actors.Handle(mad, func(*struct{}, *actors.Tx, visit) (visited, error) { panic("secret") }))},
				Projections: stele.Projections{reads("mad"), reads("good")},
			})
			require.NoError(t, err)

			for range 3 {
				_, err = mad.Ask(t.Context(), node, "a", visit{})
				require.ErrorIs(t, err, persistence.ErrRejected)
				_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1), actors.Await(node.Projections().Await("good")))
				require.NoError(t, err)
				_, err = Count.Ask(t.Context(), node, "a", wrapperspb.UInt64(1), actors.Await(node.Projections().Await("mad")))
				require.ErrorIs(t, err, actors.ErrBehind)
			}

			require.NoError(t, node.Stop(t.Context()))
			log.mu.Lock()
			defer log.mu.Unlock()
			for _, line := range []string{"hook did not return", "part of the configuration can do nothing", "handler panicked", "projection failed at an event", "command"} {
				require.Contains(t, log.lines, line, strings.Join(log.lines, "\n"))
			}
		})
	}
}
