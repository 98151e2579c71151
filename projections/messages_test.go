package projections_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// Types of which a part would not come back from what is stored: the first shows it,
// the second only by a value.
type (
	hidden    struct{ cents int } //nolint:unused // it is what is lost
	forgetful struct{ Cents int }
)

func (hidden) MessageName() string             { return "test.hidden" }
func (forgetful) MessageName() string          { return "test.forgetful" }
func (forgetful) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

func of[S, E any]() projections.Projection {
	return projections.Define("sums", 1, projections.On(func(context.Context, *projections.State[S], projections.Event[E]) error { return nil })).
		Into(projections.Persist[S](new(projections.Books)))
}

// What a projection reads, keeps and upcasts is proven to survive before it runs.
func TestMessagesThatDoNotSurviveAreRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		projection projections.Projection
		says       string
	}{
		"event":               {of[sums, hidden](), "projections_test.hidden does not survive being stored: its field cents"},
		"event, by a value":   {of[sums, forgetful](), "event test.forgetful: projections_test.forgetful does not survive being stored: its field Cents"},
		"state":               {of[hidden, added](), "projection sums: its state: projections_test.hidden does not survive being stored: its field cents"},
		"state, by a value":   {of[map[string]forgetful, added](), "its state: map[string]projections_test.forgetful does not survive being stored: its field [].Cents"},
		"state, by a pointer": {of[*hidden, added](), "its field cents"},
		"state of anything":   {of[any, added](), "its state: interface {} does not survive being stored: it is an interface"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			_, err := projections.New(projections.Config{Journal: world{}, Projections: []projections.Projection{c.projection}})

			require.ErrorContains(t, err, c.says)
			_, ok := errors.AsType[*codec.LossError](err)
			require.True(t, ok)
		})
	}
	_, err := projections.New(projections.Config{Journal: world{}, Projections: []projections.Projection{of[*wrapperspb.StringValue, added]()}})
	require.ErrorContains(t, err, "its state: *wrapperspb.StringValue is a protobuf message, and a state is kept as JSON")
	chain, err := upcast.New(upcast.Map(func(added) (forgetful, error) { return forgetful{}, nil }))
	require.NoError(t, err)
	_, err = projections.New(projections.Config{Journal: world{}, Projections: []projections.Projection{of[sums, added]()}, Upcasters: chain})
	require.ErrorContains(t, err, "projections_test.forgetful does not survive being stored: its field Cents")
}

// States of other types than structs are kept too, and nothing is a state.
func TestStatesOfAllSorts(t *testing.T) {
	t.Parallel()
	t.Run("a list", func(t *testing.T) {
		t.Parallel()
		keeps(t, `[3,4]`, func(s *[]int, n int) { *s = append(*s, n) })
	})
	t.Run("a pointer", func(t *testing.T) {
		t.Parallel()
		keeps(t, `{"Name":"4"}`, func(s **struct{ Name string }, n int) {
			if n == 4 {
				*s = &struct{ Name string }{"4"}
			}
		})
	})
	t.Run("no pointer", func(t *testing.T) {
		t.Parallel()
		keeps(t, `null`, func(**int, int) {})
	})
}

// keeps runs a projection twice, so that the second goes on with what the first kept.
func keeps[S any](t *testing.T, want string, apply func(*S, int)) {
	t.Helper()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		projection := projections.Define("sums", 1, projections.On(func(_ context.Context, s *projections.State[S], e projections.Event[added]) error {
			apply(&s.Value, e.Data.N)
			return nil
		})).Into(projections.Persist[S](books))
		for _, number := range []int{3, 4} {
			runner, stop := w.run(projections.Config{}, projection)
			w.waitFor(runner, "sums", w.add("a-1", number))
			state, err := runner.State(t.Context(), "sums")
			require.NoError(t, err)
			if number == 4 {
				require.JSONEq(t, want, string(state))
			}
			stop()
		}
	})
}

// moody is a message whose marshaller loses one value of all, which no proof of its type
// need find.
type moody struct{ N int }

func (moody) MessageName() string { return "test.moody" }

func (m moody) MarshalJSON() ([]byte, error) {
	if m.N == 4242 {
		m.N = 0
	}
	return json.Marshal(map[string]int{"N": m.N})
}

func (m *moody) UnmarshalJSON(data []byte) error {
	var plain struct{ N int }
	err := json.Unmarshal(data, &plain)
	m.N = plain.N
	return err
}

// In tests whatever a projection stores is decoded again, its states and what it emits:
// one that comes back changed fails the projection, which is silent otherwise.
func TestMessagesAreProvenWhenTheyAreStored(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		define := func(name string, handle func(s *projections.State[moody], n int) error) projections.Projection {
			return projections.Define(name, 1, projections.On(func(_ context.Context, s *projections.State[moody], e projections.Event[added]) error {
				return handle(s, e.Data.N)
			})).With(projections.Retries(0, 0)).Into(projections.Persist[moody](new(projections.Books)))
		}
		for _, proving := range []bool{true, false} {
			all := []projections.Projection{
				define("keeping", func(s *projections.State[moody], n int) error {
					s.Value.N = n
					return nil
				}),
				define("emitting", func(s *projections.State[moody], n int) error { return projections.Emit(s, moody{n}) }),
			}
			runner, stop := w.run(projections.Config{ProveMessages: proving}, all...)
			for _, n := range []int{1, 4242} {
				last := w.add("a-1", n)
				for _, projection := range all {
					err := runner.WaitFor(t.Context(), projection.Name(), last)
					if !proving || n == 1 {
						require.NoError(t, err)
						continue
					}
					require.ErrorIs(t, err, projections.ErrBehind)
					require.ErrorContains(t, err, "comes back changed: mend the marshallers of its type")
				}
			}
			stop()
		}
	})
}
