package filter_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// common are filters as projections and queries have them, which all match
// benchmarked.
func common() map[string]filter.Filter {
	types := make([]string, filter.MaxOperands)
	for i := range types {
		types[i] = fmt.Sprintf("type-%d", i)
	}
	types[0] = "deposited"
	return map[string]filter.Filter{
		"everything":     {},
		"type":           filter.Type().Eq("deposited"),
		"1000 types":     filter.Type().In(types...),
		"category":       filter.Category().Eq("account"),
		"prefix":         filter.Stream().Prefix("account-"),
		"version range":  filter.Version().Ge(2).And(filter.Version().Lt(10)),
		"time":           filter.Time().Gt(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)),
		"tag":            filter.Tag().Eq("branch 7"),
		"metadata text":  filter.Meta("tenant").Text().Eq("acme"),
		"metadata float": filter.Meta("cents").Float().Gt(999.5),
		"metadata":       filter.Meta("cents").In(persistence.Int(1), persistence.Int(12_50)),
		"four together": filter.Type().In("deposited", "withdrawn").And(filter.Category().Eq("account"),
			filter.Meta("tenant").Text().Eq("acme"), filter.Not(filter.Tag().Eq("test"))),
	}
}

var benchmarked = func() *persistence.Recorded {
	r := deposit
	r.At = time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	r.Position.Offset = 42
	return &r
}()

func TestCommonFiltersMatchWithoutAllocating(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts what others allocate too
	for name, f := range common() {
		require.True(t, f.Match(benchmarked), name)
		require.Zero(t, testing.AllocsPerRun(100, func() { f.Match(benchmarked) }), name)
	}
	metadata := filter.Meta("tenant").Text().Eq("acme")
	require.Zero(t, testing.AllocsPerRun(100, func() { metadata.MatchMetadata(benchmarked.Metadata) }))
}

func BenchmarkMatch(b *testing.B) {
	filters := common()
	filters["pattern"] = filter.Type().Regex("^dep")
	for name, f := range filters {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !f.Match(benchmarked) {
					b.Fatal("no match")
				}
			}
		})
	}
}

func BenchmarkUnmarshal(b *testing.B) {
	written, err := common()["four together"].MarshalJSON()
	require.NoError(b, err)
	b.ReportAllocs()
	for b.Loop() {
		var f filter.Filter
		if err := f.UnmarshalJSON(written); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkNecessary(b *testing.B) {
	f := common()["four together"]
	b.ReportAllocs()
	for b.Loop() {
		if f.Necessary().Nothing {
			b.Fatal("nothing")
		}
	}
}
