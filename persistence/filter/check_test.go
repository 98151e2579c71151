package filter_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

const secret = "s3cr3t"

// requireInvalid also holds the error against what must not stand in it.
func requireInvalid(t require.TestingT, err error, field string) {
	if helper, ok := t.(testing.TB); ok {
		helper.Helper()
	}
	var invalid *persistence.InvalidError
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, field, invalid.Field, "%v", err)
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.NotContains(t, err.Error(), secret)
}

func TestInvalidLeaves(t *testing.T) {
	t.Parallel()
	k := filter.Meta("k")
	for name, c := range map[string]struct {
		filter filter.Filter
		field  string
	}{
		"empty key":                   {filter.Meta("").Exists(), "metadata key"},
		"key of 129 bytes":            {filter.Meta(strings.Repeat("k", persistence.MaxMetadataKey+1)).Exists(), "metadata key"},
		"key that is not UTF-8":       {filter.Meta(secret + "\xff").Exists(), "metadata key"},
		"key with NUL":                {filter.Meta(secret + "\x00").Exists(), "metadata key"},
		"text that is not UTF-8":      {filter.Type().Eq(secret + "\xff"), "type filter"},
		"stream with NUL":             {filter.Stream().In("a", secret+"\x00"), "stream filter"},
		"prefix that is not UTF-8":    {filter.Category().Prefix("\xc3"), "category filter"},
		"tag with NUL":                {filter.Tag().Eq("\x00"), "tag filter"},
		"metadata text with NUL":      {k.Text().Gt("\x00"), "metadata filter"},
		"text too long":               {k.Text().Eq(strings.Repeat(secret, filter.MaxOperand/len(secret)+1)), "metadata filter"},
		"pattern that is not RE2":     {filter.Type().Regex(secret + "("), "type filter"},
		"pattern with look-ahead":     {filter.Type().Regex("(?=a)"), "type filter"},
		"pattern with back reference": {filter.Type().Regex(`(a)\1`), "type filter"},
		"pattern that is not UTF-8":   {filter.Stream().Regex("\xff"), "stream filter"},
		"pattern of 1025 bytes":       {filter.Type().Regex(strings.Repeat("a", filter.MaxRegex+1)), "type filter"},
		"pattern that explodes":       {filter.Type().Regex("(" + strings.Repeat("a", 1000) + "){1000}"), "type filter"},
		"pattern that may explode":    {filter.Type().Regex("(?:aaaa){0,1000}"), "type filter"},
		"pattern that nests":          {filter.Type().Regex("((((((a{10}){10}){10}){10}){10}){10})"), "type filter"},
		"NaN":                         {k.Float().Gt(math.NaN()), "metadata filter"},
		"infinity":                    {k.Float().Le(math.Inf(1)), "metadata filter"},
		"NaN in a value":              {k.Eq(persistence.Float(math.NaN())), "metadata filter"},
		"infinity in a set":           {k.Float().NotIn(1, math.Inf(-1)), "metadata filter"},
		"a value that is not set":     {k.Eq(persistence.Value{}), "metadata filter"},
		"text and number in one set":  {k.In(persistence.String("1"), persistence.Int(1)), "metadata filter"},
		"number and truth in one set": {k.NotIn(persistence.Float(1), persistence.Bool(true)), "metadata filter"},
		"version beyond int64":        {filter.Version().Lt(persistence.MaxVersion + 1), "version filter"},
		"negative offset":             {filter.Offset().Ge(-1), "position filter"},
		"the year 0":                  {filter.Time().Gt(time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC)), "time filter"},
		"the year 10000":              {filter.Time().Lt(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)), "time filter"},
		"beyond what microseconds count": {
			filter.Time().Lt(time.Unix(math.MaxInt64/2, 0)), "time filter",
		},
		"1001 operands": {filter.Version().In(versions(filter.MaxOperands + 1)...), "version filter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireInvalid(t, c.filter.Check(), c.field)
			require.False(t, c.filter.Match(&persistence.Recorded{}))
			require.True(t, c.filter.Necessary().Nothing)
			require.Equal(t, "an invalid filter", c.filter.String())
		})
	}
}

func TestLeavesAtTheLimit(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]filter.Filter{
		"key of 128 bytes":      filter.Meta(strings.Repeat("k", persistence.MaxMetadataKey)).Exists(),
		"1000 operands":         filter.Version().In(versions(filter.MaxOperands)...),
		"the longest text":      filter.Meta("k").Text().Eq(strings.Repeat("x", filter.MaxOperand)),
		"pattern of 1024 bytes": filter.Type().Regex(strings.Repeat("a", filter.MaxRegex)),
		"pattern that repeats":  filter.Type().Regex("(?:abc){1000}x"),
		"the greatest version":  filter.Version().Le(persistence.MaxVersion),
		"the greatest offset":   filter.Offset().Le(math.MaxInt64),
		"the first time":        filter.Time().Ge(time.Time{}),
		"the last time":         filter.Time().Lt(time.Date(9999, 12, 31, 23, 59, 59, 999_999_999, time.UTC)),
		"the least float":       filter.Meta("k").Float().Gt(math.SmallestNonzeroFloat64),
	} {
		require.NoError(t, f.Check(), name)
	}
}

func versions(n int) []persistence.Version {
	all := make([]persistence.Version, n)
	for i := range all {
		all[i] = persistence.Version(i)
	}
	return all
}

// nested has the given height, with And inside Or inside And, so that nothing can
// be flattened.
func nested(height int) filter.Filter {
	f := filter.Type().Eq("bottom")
	for i := range height - 1 {
		other := filter.Type().Eq(fmt.Sprint(i))
		if i%2 == 0 {
			f = f.And(other)
		} else {
			f = f.Or(other)
		}
	}
	return f
}

// deepNothing has the given height too; at its bottom stands the negation of
// everything, which is two high.
func deepNothing(height int) filter.Filter {
	f := filter.Not(filter.Filter{})
	for i := range height - 2 {
		if i%2 == 0 {
			f = f.And(filter.Tag().Exists())
		} else {
			f = f.Or(filter.Tag().Exists())
		}
	}
	return f
}

func wide(leaves int) filter.Filter {
	f := filter.Version().Eq(0)
	for i := range leaves - 1 {
		f = f.Or(filter.Version().Eq(persistence.Version(i + 1)))
	}
	return f
}

func TestTreesAtAndBeyondTheLimit(t *testing.T) {
	t.Parallel()
	require.NoError(t, nested(filter.MaxDepth).Check())
	requireInvalid(t, nested(filter.MaxDepth+1).Check(), "filter")
	require.NoError(t, filter.Not(nested(filter.MaxDepth-1)).Check())
	requireInvalid(t, filter.Not(nested(filter.MaxDepth)).Check(), "filter")

	require.NoError(t, wide(filter.MaxLeaves).Check())
	requireInvalid(t, wide(filter.MaxLeaves+1).Check(), "filter")
	requireInvalid(t, wide(200).And(filter.Not(wide(57))).Check(), "filter")

	require.NoError(t, deepNothing(filter.MaxDepth).Check())
	requireInvalid(t, deepNothing(filter.MaxDepth+1).Check(), "filter")

	pattern := filter.Type().Regex("a{1000}")
	require.NoError(t, pattern.And(pattern).Check())
	requireInvalid(t, pattern.And(pattern, pattern, pattern, pattern).Check(), "filter")
}

func TestDepthDoesNotGrowWithoutNeed(t *testing.T) {
	t.Parallel()
	conjunction, disjunction, negation := filter.Filter{}, filter.Not(filter.Filter{}), filter.Type().Eq("x")
	for i := range 100 {
		conjunction = conjunction.And(filter.Version().Ne(persistence.Version(i)))
		disjunction = filter.Type().Eq(fmt.Sprint(i)).Or(disjunction)
		negation = filter.Not(negation)
	}
	require.NoError(t, conjunction.Check())
	require.NoError(t, disjunction.Check())
	require.NoError(t, negation.Check())
	require.True(t, negation.Match(&persistence.Recorded{Event: persistence.Event{Type: "x"}}))
}

func TestInvalidStaysInvalid(t *testing.T) {
	t.Parallel()
	bad, worse, good := filter.Type().Regex("("), filter.Version().Eq(math.MaxUint64), filter.Type().Eq("x")
	for name, f := range map[string]filter.Filter{
		"not":                    filter.Not(bad),
		"and on the left":        bad.And(good),
		"and on the right":       good.And(good, bad),
		"or on the left":         bad.Or(good),
		"or on the right":        good.Or(bad),
		"or with everything":     filter.Filter{}.Or(bad),
		"everything or it":       bad.Or(filter.Filter{}),
		"deep down":              good.And(filter.Not(good.Or(bad))),
		"the first of two":       bad.And(worse),
		"negated and with other": filter.Not(bad).Or(worse),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			requireInvalid(t, f.Check(), "type filter")
			require.False(t, f.Match(&persistence.Recorded{Event: persistence.Event{Type: "x"}}))
			_, err := f.MarshalJSON()
			requireInvalid(t, err, "type filter")
		})
	}
}

func TestStoredNumbersThatAreNoneNeverMatch(t *testing.T) {
	t.Parallel()
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		event := with("k", persistence.Float(f))
		k := filter.Meta("k")
		require.Equal(t, make([]bool, 6), matchAll(event, k.Float().Gt(0), k.Float().Le(0), k.Int().Ne(0), k.Int().NotIn(1, 2), k.Exists(), k.NotIn()))
	}
}
