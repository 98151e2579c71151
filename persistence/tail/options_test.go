package tail_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
)

func TestOptions(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		options tail.Options
		want    string
	}{
		"a stream and a category":  {tail.Options{Stream: "a-1", Category: "a"}, "category and stream exclude each other"},
		"a place and a checkpoint": {tail.Options{After: persistence.Positions{}, Checkpoint: tail.Checkpoint{Journal: persistence.JournalID{1}}}, "after and checkpoint exclude each other"},
		"a name that cannot be":    {tail.Options{Stream: "a\n"}, "stream holds a control character"},
		"a category that cannot":   {tail.Options{Category: "a\n"}, "category holds a control character"},
		"a filter that cannot":     {tail.Options{Filter: filter.Meta("").Exists()}, "invalid: "},
		"and with a stream":        {tail.Options{Stream: "a-1", Filter: filter.Meta("").Exists()}, "invalid: "},
		"negative rows":            {tail.Options{PageRows: -1}, "page rows is negative"},
		"negative bytes":           {tail.Options{PageBytes: -1}, "page bytes is negative"},
		"a negative place":         {tail.Options{After: persistence.Positions{-1}}, "after is negative"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := memory.New(memory.Config{})

			subscription, err := tail.Open(t.Context(), journal, c.options)
			_, errShared := tail.NewTailer(tail.Config{Reader: journal}).Open(t.Context(), c.options)

			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.ErrorContains(t, err, c.want)
			require.Equal(t, err, errShared)
			require.Nil(t, subscription)
		})
	}
}

// opaque is a filter of which nothing can be looked up.
type opaque struct{ filter filter.Filter }

func (o opaque) Match(recorded *persistence.Recorded) bool { return o.filter.Match(recorded) }
func (o opaque) Check() error                              { return o.filter.Check() }

// What a subscription wants can be looked up by its stream or category, whatever
// the filter is, and is no more than both.
func TestScopeIsNecessary(t *testing.T) {
	t.Parallel()
	deep := filter.Type().Eq("t")
	for height := 2; height <= filter.MaxDepth; height++ {
		if height%2 == 0 {
			deep = deep.Or(filter.Type().Eq("t"))
		} else {
			deep = deep.And(filter.Type().Eq("t"))
		}
	}
	require.NoError(t, deep.Check())
	require.Error(t, deep.And(filter.Type().Eq("t")).Check(), "it is not as large as a filter can be")
	for name, further := range map[string]persistence.Filter{
		"of package filter": filter.Type().Eq("t"),
		"of no filter":      nil,
		"of another":        opaque{filter.Type().Eq("t")},
		"of the largest":    deep,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			byStream, err := tail.Wants(tail.Options{Stream: "a-1", Filter: further})
			require.NoError(t, err)
			byCategory, err := tail.Wants(tail.Options{Category: "a", Filter: further})
			require.NoError(t, err)

			require.NoError(t, byStream.Check())
			require.Equal(t, []persistence.StreamID{"a-1"}, byStream.(interface{ Necessary() filter.Necessary }).Necessary().Streams)
			require.Equal(t, []string{"a"}, byCategory.(interface{ Necessary() filter.Necessary }).Necessary().Categories)
			for _, stream := range []persistence.StreamID{"a-1", "a-2", "b-1"} {
				for _, eventType := range []string{"t", "u"} {
					recorded := &persistence.Recorded{Event: note(eventType), Stream: stream}
					chosen := further == nil || further.Match(recorded)
					require.Equal(t, chosen && stream == "a-1", byStream.Match(recorded))
					require.Equal(t, chosen && stream != "b-1", byCategory.Match(recorded))
				}
			}
		})
	}
}

func TestNoScope(t *testing.T) {
	t.Parallel()
	further := opaque{filter.Type().Eq("t")}

	all, err := tail.Wants(tail.Options{})
	require.NoError(t, err)
	require.Nil(t, all)
	some, err := tail.Wants(tail.Options{Filter: further})
	require.NoError(t, err)
	require.Equal(t, further, some)
}
