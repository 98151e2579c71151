package filter_test

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestWhatMatchesSatisfiesWhatIsNecessary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFilter(t)
		necessary := f.Necessary()
		for range 10 {
			if event := drawEvent(t); f.Match(event) {
				require.True(t, necessary.Holds(event), "%s", f.Filter)
			}
		}
	})
}

// A store holds an integer or a float, as the writer chose, and compares what it
// holds. So each value must be listed in every form that equals it.
func TestNecessaryNumbersHaveAllTheirForms(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		stored := persistence.Int(pick(t, someInts))
		if rapid.Bool().Draw(t, "float") {
			stored = persistence.Float(pick(t, someFloats))
		}
		f := filter.Meta("k").Int().In(pickSome(t, someInts)...).Or(filter.Meta("k").Float().In(pickSome(t, someFloats)...))
		event := with("k", stored)

		require.Equal(t, f.Match(event), f.Necessary().Holds(event), "equalities alone are exact")
	})
}

func TestNecessary(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	version := func(n persistence.Version) *persistence.Version { return &n }
	offset := func(n int64) *int64 { return &n }
	moment := func(t time.Time) *time.Time { return &t }
	ints := func(n int64) []persistence.Value {
		return []persistence.Value{persistence.Int(n), persistence.Float(float64(n))}
	}
	texts := func(texts ...string) (values []persistence.Value) {
		for _, text := range texts {
			values = append(values, persistence.String(text))
		}
		return values
	}
	nothing := filter.Necessary{Nothing: true}
	opened, closed := filter.Type().Eq("opened"), filter.Type().Eq("closed")
	ann := filter.Meta("user").Text().Eq("ann")
	for name, c := range map[string]struct {
		filter filter.Filter
		want   filter.Necessary
	}{
		"everything":                  {filter.Filter{}, filter.Necessary{}},
		"nothing":                     {filter.Not(filter.Filter{}), nothing},
		"a type":                      {opened, filter.Necessary{Types: []string{"opened"}}},
		"several types, sorted":       {filter.Type().In("b", "a", "b"), filter.Necessary{Types: []string{"a", "b"}}},
		"no type":                     {filter.Type().In(), nothing},
		"an id":                       {filter.ID().Eq(persistence.EventID{1, 15: 9}), filter.Necessary{IDs: []persistence.EventID{{1, 15: 9}}}},
		"a stream":                    {filter.Stream().Eq("s-1"), filter.Necessary{Streams: []persistence.StreamID{"s-1"}}},
		"a category":                  {filter.Category().Eq("s"), filter.Necessary{Categories: []string{"s"}}},
		"a tag":                       {filter.Tag().In("a", "b"), filter.Necessary{Tags: [][]string{{"a", "b"}}}},
		"metadata":                    {ann, filter.Necessary{Metadata: map[string][]persistence.Value{"user": texts("ann")}}},
		"a number in both forms":      {filter.Meta("n").Int().Eq(5), filter.Necessary{Metadata: map[string][]persistence.Value{"n": ints(5)}}},
		"a number no float can hold":  {filter.Meta("n").Int().Eq(1<<53 + 1), filter.Necessary{Metadata: map[string][]persistence.Value{"n": {persistence.Int(1<<53 + 1)}}}},
		"a number no integer can":     {filter.Meta("n").Float().Eq(1 << 63), filter.Necessary{Metadata: map[string][]persistence.Value{"n": {persistence.Float(1 << 63)}}}},
		"a truth value":               {filter.Meta("b").Eq(persistence.Bool(true)), filter.Necessary{Metadata: map[string][]persistence.Value{"b": {persistence.Bool(true)}}}},
		"a version":                   {filter.Version().Eq(3), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(3), Max: version(3)}}},
		"versions":                    {filter.Version().In(7, 3), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(3), Max: version(7)}}},
		"above a version":             {filter.Version().Gt(3), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(4)}}},
		"below a version":             {filter.Version().Lt(3), filter.Necessary{Versions: filter.Range[persistence.Version]{Max: version(2)}}},
		"below the first version":     {filter.Version().Lt(0), nothing},
		"above the last version":      {filter.Version().Gt(persistence.MaxVersion), nothing},
		"from an offset":              {filter.Offset().Ge(3), filter.Necessary{Offsets: filter.Range[int64]{Min: offset(3)}}},
		"up to an offset":             {filter.Offset().Le(3), filter.Necessary{Offsets: filter.Range[int64]{Max: offset(3)}}},
		"above the last offset":       {filter.Offset().Gt(math.MaxInt64), nothing},
		"after a time":                {filter.Time().Gt(at), filter.Necessary{Times: filter.Range[time.Time]{Min: moment(at.Add(time.Microsecond))}}},
		"a time, in UTC":              {filter.Time().Le(at.In(time.FixedZone("", 60))), filter.Necessary{Times: filter.Range[time.Time]{Max: moment(at)}}},
		"all that is not compared":    {filter.Type().Prefix("a").And(filter.Type().Gt("b"), filter.Stream().Regex("x"), filter.Tag().Exists()), filter.Necessary{}},
		"what is not equal":           {filter.Type().Ne("opened"), filter.Necessary{}},
		"and of two fields":           {opened.And(filter.Version().Eq(1)), filter.Necessary{Types: []string{"opened"}, Versions: filter.Range[persistence.Version]{Min: version(1), Max: version(1)}}},
		"and of one field":            {filter.Type().In("a", "b").And(filter.Type().In("c", "b")), filter.Necessary{Types: []string{"b"}}},
		"and that cannot be":          {opened.And(closed), nothing},
		"and of ranges":               {filter.Version().Gt(2).And(filter.Version().Ge(1), filter.Version().Lt(9), filter.Version().Le(20)), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(3), Max: version(8)}}},
		"and of ranges that miss":     {filter.Offset().Gt(5).And(filter.Offset().Lt(6)), nothing},
		"and of tags":                 {filter.Tag().Eq("a").And(filter.Tag().Eq("b"), filter.Tag().Eq("a")), filter.Necessary{Tags: [][]string{{"a"}, {"b"}}}},
		"and of metadata":             {ann.And(filter.Meta("n").Int().Eq(1)), filter.Necessary{Metadata: map[string][]persistence.Value{"user": texts("ann"), "n": ints(1)}}},
		"and of one key":              {filter.Meta("user").Text().In("ann", "bob").And(filter.Meta("user").Text().In("bob", "cid")), filter.Necessary{Metadata: map[string][]persistence.Value{"user": texts("bob")}}},
		"and of one key in vain":      {ann.And(filter.Meta("user").Int().Eq(1)), nothing},
		"or of one field":             {opened.Or(closed, opened), filter.Necessary{Types: []string{"opened", "closed"}}},
		"or of two fields":            {opened.Or(filter.Version().Eq(1)), filter.Necessary{}},
		"or keeps what both say":      {opened.And(ann).Or(closed.And(filter.Version().Eq(1))), filter.Necessary{Types: []string{"opened", "closed"}}},
		"or of ranges":                {filter.Version().In(3, 4).Or(filter.Version().Eq(9)), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(3), Max: version(9)}}},
		"or of a range and open":      {filter.Version().Gt(3).Or(filter.Version().In(1, 2)), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(1)}}},
		"or of tags":                  {filter.Tag().Eq("a").Or(filter.Tag().In("b", "c").And(filter.Tag().Eq("d"))), filter.Necessary{Tags: [][]string{{"a", "d"}}}},
		"or of one key":               {ann.Or(filter.Meta("user").Int().Eq(1).And(opened)), filter.Necessary{Metadata: map[string][]persistence.Value{"user": append(texts("ann"), ints(1)...)}}},
		"or with nothing":             {opened.Or(filter.Version().In()), filter.Necessary{Types: []string{"opened"}}},
		"not what every event has":    {filter.Not(filter.Type().NotIn("a", "b")), filter.Necessary{Types: []string{"a", "b"}}},
		"not equal, negated":          {filter.Not(filter.Stream().Ne("s")), filter.Necessary{Streams: []persistence.StreamID{"s"}}},
		"not below a version":         {filter.Not(filter.Version().Lt(3)), filter.Necessary{Versions: filter.Range[persistence.Version]{Min: version(3)}}},
		"not this or that":            {filter.Not(filter.Version().Gt(3).Or(filter.Type().Ne("a"))), filter.Necessary{Types: []string{"a"}, Versions: filter.Range[persistence.Version]{Max: version(3)}}},
		"not this and that":           {filter.Not(filter.Type().Ne("a").And(filter.Type().NotIn("b"))), filter.Necessary{Types: []string{"a", "b"}}},
		"not what an event may lack":  {filter.Not(filter.Meta("user").Text().Ne("ann")), filter.Necessary{}},
		"not a category":              {filter.Not(filter.Category().Ne("x")), filter.Necessary{}},
		"not any tag":                 {filter.Not(filter.Tag().Eq("a")), filter.Necessary{}},
		"not equal to a type":         {filter.Not(opened), filter.Necessary{}},
		"not excluded, without names": {filter.Not(filter.Type().NotIn()), nothing},
		"not by prefix":               {filter.Not(filter.Type().Prefix("a")), filter.Necessary{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, c.filter.Check())
			require.Equal(t, c.want, c.filter.Necessary())
		})
	}
}

func TestNecessaryHolds(t *testing.T) {
	t.Parallel()
	event := &persistence.Recorded{
		Event:  persistence.Event{ID: persistence.EventID{1}, Type: "t", Tags: []string{"a", "b"}, Metadata: persistence.Metadata{"k": persistence.Int(1)}},
		Stream: "s-1", Version: 2, Position: persistence.Position{Offset: 3}, At: time.UnixMicro(4),
	}
	require.True(t, filter.Necessary{}.Holds(event))
	for name, f := range map[string]filter.Filter{
		"id": filter.ID().Eq(persistence.EventID{2}), "type": filter.Type().Eq("u"), "stream": filter.Stream().Eq("s-2"),
		"category": filter.Category().Eq("t"), "tag": filter.Tag().Eq("a").And(filter.Tag().Eq("c")),
		"version below": filter.Version().Lt(2), "version above": filter.Version().Gt(2),
		"offset below": filter.Offset().Lt(3), "offset above": filter.Offset().Gt(3),
		"time before": filter.Time().Lt(time.UnixMicro(4)), "time after": filter.Time().Gt(time.UnixMicro(4)),
		"metadata": filter.Meta("k").Int().Eq(2), "missing metadata": filter.Meta("j").Int().Eq(1), "nothing": filter.Not(filter.Filter{}),
	} {
		require.False(t, f.Necessary().Holds(event), name)
	}
}
