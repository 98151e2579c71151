package systemtest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/hooks"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// told is what hooks were told, in order.
type told struct {
	mu    sync.Mutex // protects lines
	lines []string
}

func (w *told) add(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, fmt.Sprintf(format, args...))
}

func (w *told) taken() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	lines := w.lines
	w.lines = nil
	return lines
}

// hook notes all that it is told, adds to what is appended, and takes it off what is
// read: so hooks see what those outside of them have added, and in the right order.
func (w *told) hook(name string) hooks.Hook {
	return hooks.Hook{
		Name: name,
		BeforeAppend: func(_ context.Context, a *persistence.Append) error {
			w.add("%s before %d", name, len(a.Events))
			for i := range a.Events {
				a.Events[i].Payload = append([]byte(name), a.Events[i].Payload...)
			}
			return nil
		},
		AroundAppend: func(context.Context, *persistence.Append) func(persistence.Outcome) {
			return func(o persistence.Outcome) { w.add("%s around %d", name, o.Last) }
		},
		AfterAppend: func(_ context.Context, _ *persistence.Append, o persistence.Outcome) {
			w.add("%s after %d", name, o.Last)
		},
		BeforeRead: func(_ context.Context, r *hooks.Reading) error {
			w.add("%s before %s", name, r.Stream)
			return nil
		},
		AroundRead: func(context.Context, *hooks.Reading) func(int, error) {
			return func(events int, _ error) { w.add("%s read %d", name, events) }
		},
		AfterRead: func(_ context.Context, _ *hooks.Reading, e *persistence.Recorded) error {
			if len(e.Payload) == 0 || string(e.Payload[:1]) != name {
				return errors.New("not what was appended")
			}
			e.Payload = e.Payload[1:]
			return nil
		},
	}
}

// Hooks stand around what a node does, in their order and until they are removed,
// on every journal.
func TestHooks(t *testing.T) {
	t.Parallel()
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			behind := open(t)
			journal := hooks.New(hooks.Config{Journal: behind})
			var w told
			journal.Add(w.hook("o"))
			remove := journal.Add(w.hook("i"))
			node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{allVisits}})
			require.NoError(t, err)

			_, err = visitPage.Ask(t.Context(), node, "a", visit{"/home"})
			require.NoError(t, err)

			require.Equal(t, []string{
				"o before visits-a", "i before visits-a", "i read 0", "o read 0",
				"o before 1", "i before 1", "i around 1", "i after 1", "o around 1", "o after 1",
			}, w.taken())
			require.NoError(t, node.Stop(t.Context()))
			for recorded, err := range behind.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				require.Equal(t, `io{"Page":"/home","Nth":1}`, string(recorded.Payload))
			}
			for recorded, err := range journal.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				require.JSONEq(t, `{"Page":"/home","Nth":1}`, string(recorded.Payload))
			}
			w.taken()

			remove()
			transactor, ok := persistence.As[persistence.Transactor](journal)
			require.True(t, ok)
			require.NoError(t, transactor.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(persistence.Append{Stream: "visits-b", Events: []persistence.Event{{Type: "x"}, {Type: "y"}}})
				w.add("not committed")
				return err
			}))
			require.Equal(t, []string{"o before 2", "not committed", "o around 2", "o after 2"}, w.taken())

			refuse := errors.New("not today")
			journal.Add(hooks.Hook{BeforeAppend: func(context.Context, *persistence.Append) error { return refuse }})
			outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "visits-c", Events: []persistence.Event{{Type: "x"}}})
			require.NoError(t, err)
			require.ErrorIs(t, outcomes[0].Err, refuse)
			require.ErrorIs(t, outcomes[0].Err, persistence.ErrRejected)
			_, err = behind.Stream(t.Context(), "visits-c")
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		})
	}
}

// Without being asked, events say which command they come from, to which call from
// outside they belong, and in which span; with an enricher, what the context holds.
func TestOriginIsFilledIn(t *testing.T) {
	t.Parallel()
	type tenant struct{}
	for name, open := range journals() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			node, err := stele.Start(t.Context(), stele.Config{
				Journal: journal, Aggregates: stele.Aggregates{allVisits},
				Enrich: func(ctx context.Context) persistence.Metadata {
					name, _ := ctx.Value(tenant{}).(string)
					return persistence.Metadata{"tenant": persistence.String(name), "page": persistence.Bool(false)}
				},
			})
			require.NoError(t, err)
			span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}})
			ctx := trace.ContextWithSpanContext(context.WithValue(t.Context(), tenant{}, "acme"), span)
			ctx = actors.WithMetadata(ctx, persistence.Metadata{"page": persistence.Bool(true)})
			_, err = visitPage.Ask(ctx, node, "a", visit{"/home"})
			require.NoError(t, err)
			var first persistence.Recorded
			for recorded, err := range journal.Read(t.Context(), "visits-a", persistence.ReadOptions{}) {
				require.NoError(t, err)
				first = recorded
			}
			_, err = visitPage.Ask(actors.CausedBy(t.Context(), &first), node, "b", visit{"/next"})
			require.NoError(t, err)
			require.NoError(t, node.Stop(t.Context()))

			headers := func(stream persistence.StreamID) *stelev1.Headers {
				about := new(stelev1.Headers)
				for recorded, err := range journal.Read(t.Context(), stream, persistence.ReadOptions{}) {
					require.NoError(t, err)
					require.NoError(t, proto.Unmarshal(recorded.Headers, about))
				}
				return about
			}
			one, two := headers("visits-a"), headers("visits-b")
			require.Equal(t, persistence.Metadata{"tenant": persistence.String("acme"), "page": persistence.Bool(true)}, first.Metadata)
			require.Equal(t, "visits.visit", one.Command)
			require.Len(t, one.CommandId, 16)
			require.Equal(t, one.CommandId, one.CorrelationId)
			require.Empty(t, one.CausationId)
			require.Equal(t, "00-01000000000000000000000000000000-0200000000000000-00", one.Traceparent)
			require.Equal(t, first.ID[:], two.CausationId)
			require.Equal(t, one.CorrelationId, two.CorrelationId)
			require.NotEqual(t, one.CommandId, two.CommandId)
			require.Empty(t, two.Traceparent)
		})
	}
}
