package tail_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
)

// BenchmarkFollow is what it costs a subscriber to see ten thousand events, alone
// and when sixteen share what is read.
func BenchmarkFollow(b *testing.B) {
	const events, subscribers = 10_000, 16
	journal := memory.New(memory.Config{})
	payload := make([]byte, 200)
	for i := range events / 10 {
		a := persistence.Append{Stream: persistence.StreamID(fmt.Sprint("a-", i%100)), Expected: persistence.Any}
		for range 10 {
			a.Events = append(a.Events, persistence.Event{Type: "t", Payload: payload, Metadata: persistence.Metadata{"tenant": persistence.String("acme")}})
		}
		_, err := journal.Append(b.Context(), a)
		require.NoError(b, err)
	}
	for name, options := range map[string]tail.Options{
		"all": {}, "filtered": {Filter: filter.Meta("tenant").Text().Eq("acme")}, "one stream": {Stream: "a-7"},
	} {
		run := func(b *testing.B, open func() (*tail.Subscription, error)) {
			b.ReportAllocs()
			for b.Loop() {
				subscription, err := open()
				require.NoError(b, err)
				for page, err := range subscription.Pages(b.Context()) {
					require.NoError(b, err)
					if page.AtHead {
						break
					}
				}
			}
			b.ReportMetric(float64(b.N)*events/b.Elapsed().Seconds(), "events/s")
		}
		b.Run(name+"/alone", func(b *testing.B) {
			run(b, func() (*tail.Subscription, error) { return tail.Open(b.Context(), journal, options) })
		})
		b.Run(name+"/shared", func(b *testing.B) {
			tailer, opened := tail.NewTailer(tail.Config{Reader: journal}), 0
			run(b, func() (*tail.Subscription, error) {
				if opened++; opened%subscribers == 0 {
					tailer = tail.NewTailer(tail.Config{Reader: journal})
				}
				return tailer.Open(b.Context(), options)
			})
		})
	}
}
