package actors_test

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
)

// A counter in plain functions.
type (
	counter struct{ N int }
	Add     struct{ N int }
	Added   struct{ N int }
	Total   struct{ N int }
)

func (Add) MessageName() string   { return "test.add" }
func (Added) MessageName() string { return "test.added" }
func (Total) MessageName() string { return "test.total" }

var errNegative = errors.New("negative")

func add(state counter, c Add) ([]any, error) {
	if state.N+c.N < 0 {
		return nil, errNegative
	}
	return []any{Added(c)}, nil
}

func added(state counter, e Added) counter {
	state.N += e.N
	return state
}

func total(state counter) Total { return Total(state) }

var (
	AddTo    = actors.NewCommand[Add, Total]("counter")
	Counters = actors.Define("counter", actors.Decide(AddTo, add, total), actors.Evolve(added), actors.SnapshotEvery[counter](2))
)

// Plain functions run as methods do, and have the same kit.
func TestDecider(t *testing.T) {
	t.Parallel()
	AddTo.Given(t, Counters, Added{3}).When(Add{4}).Then(Added{4}).Reply(Total{7})
	AddTo.Given(t, Counters, Added{3}).When(Add{-4}).Fails(errNegative)
	system := open(t, actors.Config{Aggregates: []actors.Definition{Counters}})

	for i := range 5 {
		reply, err := AddTo.Ask(t.Context(), system, "a", Add{10})
		require.NoError(t, err)
		require.Equal(t, Total{10 * (i + 1)}, reply)
		require.True(t, system.Passivate("counter", "a"))
	}
	_, err := AddTo.Ask(t.Context(), system, "a", Add{-100})
	require.Equal(t, errNegative, err)
}

// A function with a memory of its own is found by the kit.
func TestKitFindsImpureDeciders(t *testing.T) {
	t.Parallel()
	count := 0
	chance := actors.Define("counter",
		actors.Decide(AddTo, func(_ counter, c Add) ([]any, error) { count++; return []any{Added{count}}, nil }, total),
		actors.Evolve(added))

	require.Contains(t, failed(func(t actors.TB) { AddTo.Given(t, chance).When(Add{1}) }), "deciding again gave another result")
}

func TestDeciderMistakes(t *testing.T) {
	t.Parallel()
	for name, part := range map[string]actors.Part[counter]{
		"decide": actors.Decide(AddTo, nil, total),
		"reply":  actors.Decide[counter, Add, Total](AddTo, add, nil),
		"evolve": actors.Evolve[counter, Added](nil),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			err := actors.Check(actors.Config{Aggregates: []actors.Definition{actors.Define("counter", part)}})

			require.ErrorContains(t, err, "has a nil")
		})
	}
}
