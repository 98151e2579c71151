package actors_test

import (
	"context"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/memory"
)

type (
	Add     struct{ N int }
	Total   struct{ N int }
	Added   struct{ N int }
	Look    struct{}
	Counter struct{ n int }
)

func (Add) MessageName() string   { return "test.add" }
func (Total) MessageName() string { return "test.total" }
func (Added) MessageName() string { return "test.added" }
func (Look) MessageName() string  { return "test.look" }

var errNegative = errors.New("negative")

var (
	AddTo  = actors.NewCommand[Add, Total]("counter")
	LookAt = actors.NewCommand[Look, Total]("counter")

	Counters = actors.Define("counter",
		actors.Handle(AddTo, (*Counter).add),
		actors.Handle(LookAt, (*Counter).look),
		actors.On((*Counter).added),
	)
)

func (c *Counter) add(tx *actors.Tx, a Add) (Total, error) {
	if a.N < 0 {
		return Total{}, errNegative
	}
	tx.Raise(Added(a))
	return Total{c.n}, nil
}

func (c *Counter) look(*actors.Tx, Look) (Total, error) { return Total{c.n}, nil }
func (c *Counter) added(e Added)                        { c.n += e.N }

func TestAsk(t *testing.T) {
	t.Parallel()
	system, err := actors.Open(actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{Counters}})
	require.NoError(t, err)
	for i := range 10 {
		total, err := AddTo.Ask(t.Context(), system, "a", Add{1})
		require.NoError(t, err)
		require.Equal(t, i+1, total.N)
	}
	_, err = AddTo.Ask(t.Context(), system, "a", Add{-1})
	require.Equal(t, errNegative, err)
	total, err := LookAt.Ask(t.Context(), system, "a", Look{})
	require.NoError(t, err)
	require.Equal(t, 10, total.N)
	require.NoError(t, system.Close(context.Background()))
}

func TestScenario(t *testing.T) {
	t.Parallel()
	AddTo.Given(t, Counters, Added{2}).When(Add{3}).Then(Added{3}).Reply(Total{5})
	AddTo.Given(t, Counters).When(Add{-3}).Fails(errNegative)
}

func BenchmarkAsk(b *testing.B) {
	system, err := actors.Open(actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{Counters}})
	require.NoError(b, err)
	defer system.Close(context.Background())
	b.ReportAllocs()
	b.SetParallelism(256)
	ids := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p"}
	b.RunParallel(func(pb *testing.PB) {
		i := 0
		for pb.Next() {
			i++
			if _, err := AddTo.Ask(context.Background(), system, ids[i%16], Add{1}); err != nil {
				b.Error(err)
			}
		}
	})
}
