package filter_test

import (
	"math"
	"math/big"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestMatchDoesWhatIsMeant(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFilter(t)
		require.NoError(t, f.Check())
		for range 5 {
			event := drawEvent(t)
			require.Equal(t, f.means(event), f.Match(event), "%s", f.Filter)
		}
	})
}

func TestLawsOfLogic(t *testing.T) {
	t.Parallel()
	for name, law := range map[string]func(f, g, h filter.Filter) (left, right filter.Filter){
		"a double negation says nothing": func(f, _, _ filter.Filter) (left, right filter.Filter) { return filter.Not(filter.Not(f)), f },
		"not both is one not or the other": func(f, g, _ filter.Filter) (left, right filter.Filter) {
			return filter.Not(f.And(g)), filter.Not(f).Or(filter.Not(g))
		},
		"neither is not one and not the other": func(f, g, _ filter.Filter) (left, right filter.Filter) {
			return filter.Not(f.Or(g)), filter.Not(f).And(filter.Not(g))
		},
		"and has no order":  func(f, g, _ filter.Filter) (left, right filter.Filter) { return f.And(g), g.And(f) },
		"or has no order":   func(f, g, _ filter.Filter) (left, right filter.Filter) { return f.Or(g), g.Or(f) },
		"and needs no more": func(f, g, h filter.Filter) (left, right filter.Filter) { return f.And(g).And(h), f.And(g.And(h)) },
		"or needs no more":  func(f, g, h filter.Filter) (left, right filter.Filter) { return f.Or(g).Or(h), f.Or(g, h) },
		"and distributes": func(f, g, h filter.Filter) (left, right filter.Filter) {
			return f.And(g.Or(h)), f.And(g).Or(f.And(h))
		},
		"everything adds nothing": func(f, _, _ filter.Filter) (left, right filter.Filter) { return filter.Filter{}.And(f), f },
		"everything takes all":    func(f, _, _ filter.Filter) (left, right filter.Filter) { return f.Or(filter.Filter{}), filter.Filter{} },
		"nothing takes all": func(f, _, _ filter.Filter) (left, right filter.Filter) {
			return f.And(filter.Not(filter.Filter{})), filter.Not(filter.Filter{})
		},
		"alone it stays":      func(f, _, _ filter.Filter) (left, right filter.Filter) { return f.And(), f.Or() },
		"what is meant twice": func(f, _, _ filter.Filter) (left, right filter.Filter) { return f.And(f), f.Or(f) },
		"what cannot be": func(f, _, _ filter.Filter) (left, right filter.Filter) {
			return f.And(filter.Not(f)), filter.Not(filter.Filter{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) {
				left, right := law(drawFilter(t).Filter, drawFilter(t).Filter, drawFilter(t).Filter)
				require.NoError(t, left.Check())
				require.NoError(t, right.Check())
				for range 3 {
					event := drawEvent(t)
					require.Equal(t, left.Match(event), right.Match(event))
				}
			})
		})
	}
}

func TestNumbersCompareExactly(t *testing.T) {
	t.Parallel()
	// Integers near the floats that cannot tell them apart.
	integers := rapid.OneOf(rapid.Int64(), rapid.SampledFrom(someInts), rapid.Custom(func(t *rapid.T) int64 {
		exponent := rapid.IntRange(50, 62).Draw(t, "exponent")
		return 1<<exponent + rapid.Int64Range(-3, 3).Draw(t, "aside")
	}))
	finite := func(f float64) bool { return !math.IsNaN(f) && !math.IsInf(f, 0) }
	floats := rapid.OneOf(rapid.Float64().Filter(finite), rapid.SampledFrom(someFloats), rapid.Custom(func(t *rapid.T) float64 {
		return float64(integers.Draw(t, "near")) + rapid.SampledFrom([]float64{-0.5, 0, 0.5}).Draw(t, "aside")
	}))
	number := rapid.Custom(func(t *rapid.T) persistence.Value {
		if rapid.Bool().Draw(t, "integer") {
			return persistence.Int(integers.Draw(t, "integer"))
		}
		return persistence.Float(floats.Draw(t, "float"))
	})
	rapid.Check(t, func(t *rapid.T) {
		stored, operand := number.Draw(t, "stored"), number.Draw(t, "operand")
		order := plain(stored).(*big.Rat).Cmp(plain(operand).(*big.Rat))
		event := with("k", stored)

		k := filter.Meta("k")
		require.Equal(t, order == 0, k.Eq(operand).Match(event))
		require.Equal(t, order != 0, k.Ne(operand).Match(event))
		require.Equal(t, order == 0, k.In(operand).Match(event))
		if n, ok := operand.AsInt(); ok {
			require.Equal(t, []bool{order > 0, order >= 0, order < 0, order <= 0}, matchAll(event,
				k.Int().Gt(n), k.Int().Ge(n), k.Int().Lt(n), k.Int().Le(n)))
			return
		}
		f, _ := operand.AsFloat()
		require.Equal(t, []bool{order > 0, order >= 0, order < 0, order <= 0}, matchAll(event,
			k.Float().Gt(f), k.Float().Ge(f), k.Float().Lt(f), k.Float().Le(f)))
	})
}

func matchAll(event *persistence.Recorded, filters ...filter.Filter) []bool {
	matched := make([]bool, len(filters))
	for i, f := range filters {
		matched[i] = f.Match(event)
	}
	return matched
}

func TestASetOfNumbersHoldsExactlyItsNumbers(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		operands := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) persistence.Value {
			if rapid.Bool().Draw(t, "integer") {
				return persistence.Int(pick(t, someInts))
			}
			return persistence.Float(pick(t, someFloats))
		}), 1, 20).Draw(t, "operands")
		stored := operands[0]
		if rapid.Bool().Draw(t, "other") {
			stored = persistence.Int(pick(t, someInts))
		}
		contained := false
		for _, operand := range operands {
			contained = contained || plain(stored).(*big.Rat).Cmp(plain(operand).(*big.Rat)) == 0
		}

		require.Equal(t, contained, filter.Meta("k").In(operands...).Match(with("k", stored)))
		require.Equal(t, !contained, filter.Meta("k").NotIn(operands...).Match(with("k", stored)))
	})
}

func TestFiltersDoNotChange(t *testing.T) {
	t.Parallel()
	types := []string{"b", "a"}
	f := filter.Type().In(types...)
	both := f.And(filter.Version().Gt(0))
	wider := both.And(filter.Tag().Exists())
	other := both.And(filter.Not(filter.Tag().Exists()))
	event := &persistence.Recorded{Event: persistence.Event{Type: "a"}, Version: 1}

	types[0], types[1] = "x", "y"

	require.Equal(t, []bool{true, true, false, true}, matchAll(event, f, both, wider, other))
}

func TestFiltersMayBeShared(t *testing.T) {
	t.Parallel()
	f := filter.Type().Regex("^o").And(filter.Tag().In("a", "b")).Or(filter.Meta("k").Int().Gt(1))
	event := with("k", persistence.Int(2))
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 100 {
				_, _, _ = f.Match(event), f.Necessary(), filter.Not(f).Or(f)
			}
		})
	}
	group.Wait()
	require.True(t, f.Match(event))
}
