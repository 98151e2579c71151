package projections_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/projections"
)

// BenchmarkCatchUp is what an event costs that is counted in memory, beside what it
// costs to read it.
func BenchmarkCatchUp(b *testing.B) {
	const events = 50_000
	journal := new(memory.Journal)
	for i := range events / 10 {
		a := persistence.Append{Stream: persistence.StreamID(fmt.Sprint("bench-", i)), Expected: persistence.Any}
		for range 10 {
			a.Events = append(a.Events, persistence.Event{
				Type: "bench.v1.Happened", Payload: make([]byte, 200),
				Metadata: persistence.Metadata{"correlation": persistence.String("0190b6a4"), "tenant": persistence.String("acme"), "user": persistence.String("user-1"), "attempt": persistence.Int(1), "source": persistence.String("web")},
			})
		}
		_, err := journal.Append(b.Context(), a)
		require.NoError(b, err)
	}
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, err := range journal.ReadAll(b.Context(), persistence.ReadAllOptions{PageRows: persistence.DefaultPageRows}) {
				require.NoError(b, err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
	})
	b.Run("project", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			count := 0
			counter := projections.Define("counter", 1, projections.Any(func(context.Context, *int, persistence.Recorded) error {
				count++
				return nil
			})).Into(projections.InMemory(new(int)))
			runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{counter}})
			require.NoError(b, err)
			group := lifecycle.Start(b.Context(), lifecycle.Component{Name: "projections", Run: runner.Run})
			require.NoError(b, runner.CatchUp(b.Context()))
			require.NoError(b, group.Stop(b.Context()))
			require.Equal(b, events, count)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*events), "ns/event")
	})
}
