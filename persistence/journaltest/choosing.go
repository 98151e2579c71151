package journaltest

import (
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// choosing are the cases of filters that a journal may evaluate itself, to read less.
var choosing = cases{
	"a journal chooses the events that the filter itself chooses": choosesAlike,
	"text in a filter is compared as text":                        choosesText,
	"numbers in a filter are compared as numbers":                 choosesNumbers,
}

// choosesAlike lets rapid search for a filter for which the journal returns other
// events than the filter's own evaluation.
func choosesAlike(t *testing.T, s suite) {
	j := s.open(t)
	all := fillVaried(&j)
	begin, found := time.Now(), false
	rapid.Check(t, func(r *rapid.T) {
		defer func() { found = found || r.Failed() }()
		if !found && time.Since(begin) > modelTime/2 {
			return
		}
		bound := j
		bound.t = r
		choosesLike(bound, r, drawnFilter(all).Draw(r, "filter"), all)
	})
}

// choosesLike compares three answers with the filter's own: the sequence, a stream, and
// the count of a stream.
func choosesLike(j journal, r *rapid.T, f filter.Filter, all []persistence.Recorded) {
	j.t.Helper()
	require.NoError(j.t, f.Check())
	system, back := rapid.Bool().Draw(r, "system"), rapid.Bool().Draw(r, "backward")
	want := kept(all, func(recorded *persistence.Recorded) bool {
		return f.Match(recorded) && (system || recorded.Stream[0] != '$')
	})
	if back {
		slices.Reverse(want)
	}
	options := persistence.ReadAllOptions{Filter: f, System: system, Backward: back, PageRows: rapid.SampledFrom([]int{0, 1, 7, 50}).Draw(r, "rows")}
	require.Equal(j.t, plain(want), plain(j.follow(options)), "%s", f)

	stream := rapid.SampledFrom(all).Draw(r, "of").Stream
	info, err := j.Stream(j.ctx, stream)
	if err != nil {
		return // it was deleted
	}
	want = kept(all, func(recorded *persistence.Recorded) bool {
		return recorded.Stream == stream && recorded.Version >= info.First && f.Match(recorded)
	})
	if back {
		slices.Reverse(want)
	}
	limit := rapid.IntRange(0, 3).Draw(r, "limit")
	if limit > 0 {
		want = want[:min(limit, len(want))]
	}
	of := persistence.ReadOptions{Filter: f, Limit: limit, Backward: back}
	events, err := j.read(stream, of)
	require.NoError(j.t, err)
	require.Equal(j.t, plain(want), plain(events), "%s", f)
	count, err := j.Count(j.ctx, stream, of)
	require.NoError(j.t, err)
	require.Equal(j.t, len(want), count, "%s", f)
}

// variedTexts are the parts of names, tags and metadata. Some look like syntax, some
// differ only in case, accents or spaces.
var variedTexts = []string{"a", "A", "a ", "ab", "it's", "c%", "c_", `d"\`, "\u00e9", "e\u0301", "1", "true", "$1", "'); DROP TABLE event; --"}

// variedValues are metadata values that a store might confuse with each other.
var variedValues = []persistence.Value{
	persistence.Int(1), persistence.Float(1), persistence.String("1"), persistence.Bool(true), persistence.String("true"), persistence.Int(0),
	persistence.Float(0), persistence.String(""), persistence.Float(1.5), persistence.Int(-3), persistence.Int(1<<53 + 1), persistence.Float(1 << 53),
	persistence.Int(math.MaxInt64), persistence.Float(1 << 63), persistence.Float(math.MaxFloat64), persistence.Float(1e-7), persistence.Bool(false),
	persistence.String("a"), persistence.String("it's"), persistence.String("\u00e9"),
}

var variedKeys = []string{"k", "K", "k.l", "$.k", `x'y`, `k"`, "$1"}

// fillVaried stores events that differ in everything that filters look at. It deletes and
// truncates some of their streams, and returns the sequence as it is then.
func fillVaried(j *journal) []persistence.Recorded {
	j.t.Helper()
	draw := func(i, of int) int { return (i*i*7 + i*13 + 5) % of }
	for i := range 90 {
		stream := persistence.StreamID(fmt.Sprintf("%s-%d", variedTexts[draw(i, 6)], i%2))
		if i%9 == 4 {
			stream = "$system"
		}
		event := persistence.Event{Type: variedTexts[draw(i+1, len(variedTexts))], Payload: []byte(fmt.Sprint(i)), Metadata: persistence.Metadata{}}
		for k := range draw(i, 4) {
			event.Metadata[variedKeys[draw(i+k, len(variedKeys))]] = variedValues[draw(i*3+k, len(variedValues))]
			if tag := variedTexts[draw(i+k*5, len(variedTexts))]; !slices.Contains(event.Tags, tag) {
				event.Tags = append(event.Tags, tag)
			}
		}
		j.store(stream, persistence.Any, event)
	}
	for i, info := range j.list(persistence.ListOptions{}) {
		switch i % 4 {
		case 1:
			j.delete(info.Stream)
		case 2:
			j.truncate(info.Stream, info.Version/2)
		}
		if i%3 == 1 && has[persistence.Scavenger](j.Journal) {
			j.scavenge(info.Stream)
		}
	}
	return j.all()
}

// drawnFilter draws filters that ask about these events.
func drawnFilter(all []persistence.Recorded) *rapid.Generator[filter.Filter] {
	return rapid.Custom(func(r *rapid.T) filter.Filter {
		f := drawnLeaf(r, all)
		for range rapid.IntRange(0, 4).Draw(r, "more") {
			g := drawnLeaf(r, all)
			switch rapid.IntRange(0, 4).Draw(r, "how") {
			case 0:
				f = f.Or(g)
			case 1:
				f = filter.Not(f)
			case 2:
				f = f.And(filter.Not(g))
			default:
				f = f.And(g)
			}
		}
		return f
	})
}

func drawnLeaf(r *rapid.T, all []persistence.Recorded) filter.Filter {
	one, other := rapid.SampledFrom(all).Draw(r, "like"), rapid.SampledFrom(all).Draw(r, "or like")
	text, more := rapid.SampledFrom(variedTexts).Draw(r, "text"), rapid.SampledFrom(variedTexts).Draw(r, "more text")
	meta := filter.Meta(rapid.SampledFrom(variedKeys).Draw(r, "key"))
	value := rapid.SampledFrom(variedValues).Draw(r, "value")
	number := rapid.SampledFrom([]int64{0, 1, -3, 1 << 53, 1<<53 + 1, math.MaxInt64}).Draw(r, "number")
	leaves := []filter.Filter{
		{},
		filter.ID().Eq(one.ID), filter.ID().In(one.ID, other.ID), filter.ID().Ne(one.ID), filter.ID().NotIn(one.ID, other.ID),
		filter.Type().Eq(one.Type), filter.Type().Ne(text), filter.Type().In(one.Type, text), filter.Type().In(), filter.Type().NotIn(text, one.Type),
		filter.Type().NotIn(), filter.Type().Prefix("a"), filter.Type().Regex(`^[a-c]`), filter.Type().Gt(text), filter.Type().Le(text),
		filter.Type().Eq(persistence.TypeDeleted),
		filter.Stream().Eq(one.Stream), filter.Stream().In(one.Stream, other.Stream, "missing"), filter.Stream().Prefix("c"), filter.Stream().Ne(one.Stream),
		filter.Stream().Regex(`-1$`), filter.Stream().Ge(one.Stream), filter.Stream().Eq("missing"),
		filter.Category().Eq(text), filter.Category().In(text, more), filter.Category().Ne(text), filter.Category().Exists(), filter.Category().NotIn(),
		filter.Category().Prefix("c"), filter.Category().Lt(text),
		filter.Tag().Eq(text), filter.Tag().In(text, more), filter.Tag().Prefix("c"), filter.Tag().Exists(), filter.Tag().Regex(`%|_`), filter.Tag().In(),
		filter.Version().Eq(one.Version), filter.Version().Ge(one.Version), filter.Version().Lt(one.Version), filter.Version().In(one.Version, other.Version),
		filter.Version().NotIn(one.Version), filter.Version().Gt(persistence.MaxVersion),
		filter.Offset().Eq(one.Position.Offset), filter.Offset().Gt(one.Position.Offset), filter.Offset().Le(one.Position.Offset), filter.Offset().Lt(1),
		filter.Offset().Gt(1 << 62), filter.Offset().In(one.Position.Offset, other.Position.Offset), filter.Offset().Ne(one.Position.Offset),
		filter.Time().Eq(one.At), filter.Time().Ge(one.At), filter.Time().Lt(one.At), filter.Time().Le(time.Unix(0, 0)), filter.Time().In(one.At, other.At),
		meta.Eq(value), meta.Ne(value), meta.In(value), meta.NotIn(value), meta.Exists(), meta.Text().Eq(text), meta.Text().Prefix(""), meta.Text().Regex("."),
		meta.Text().Ge(text), meta.Int().Eq(number), meta.Int().Lt(number), meta.Int().Ge(number), meta.Int().In(number, 1), meta.Float().Eq(float64(number)),
		meta.Float().Gt(1), meta.Float().Le(1.5), meta.Float().Ne(1),
	}
	return rapid.SampledFrom(leaves).Draw(r, "leaf")
}

// choosesText puts each text in each place where a filter takes one. The filter must
// choose the events that have the text, and no others.
func choosesText(t *testing.T, s suite) {
	j := s.open(t)
	var events []persistence.Event
	for _, text := range variedTexts {
		events = append(events, persistence.Event{
			Type: text, Tags: []string{text}, Payload: []byte(text), Metadata: persistence.Metadata{text: persistence.Int(1), "text": persistence.String(text)},
		})
		j.store(persistence.StreamID(text), persistence.NoStream, events[len(events)-1])
	}
	for _, text := range variedTexts {
		for what, f := range map[string]filter.Filter{
			"type": filter.Type().Eq(text), "stream": filter.Stream().Eq(persistence.StreamID(text)), "tag": filter.Tag().Eq(text),
			"key": filter.Meta(text).Exists(), "key and value": filter.Meta(text).Int().Eq(1), "value": filter.Meta("text").Text().Eq(text),
		} {
			found := j.follow(persistence.ReadAllOptions{Filter: f, System: true})
			require.Equal(t, []string{text}, textsOf(found), "%s %q", what, text)
		}
	}
	require.Len(t, j.all(), len(variedTexts))
}

// choosesNumbers asks for each number in each form. The number must be found in whatever
// form it is stored, and no other number that is equal only as a float64.
func choosesNumbers(t *testing.T, s suite) {
	j := s.open(t)
	for i, value := range variedValues {
		j.store("numbers-1", persistence.Any, persistence.Event{Type: "n", Payload: []byte(fmt.Sprint(i)), Metadata: persistence.Metadata{"n": value}})
	}
	all := j.all()
	n := filter.Meta("n")
	for _, value := range variedValues {
		for what, f := range map[string]filter.Filter{"eq": n.Eq(value), "in": n.In(value), "ne": n.Ne(value), "not in": n.NotIn(value), "not": filter.Not(n.Eq(value))} {
			want := textsOf(kept(all, f.Match))
			require.Equal(t, want, textsOf(j.follow(persistence.ReadAllOptions{Filter: f})), "%s %s", what, value.Text())
			events, err := j.read("numbers-1", persistence.ReadOptions{Filter: f})
			require.NoError(t, err)
			require.Equal(t, want, textsOf(events), "%s %s", what, value.Text())
		}
	}
	require.Len(t, j.follow(persistence.ReadAllOptions{Filter: n.Int().Eq(1)}), 2)
	require.Len(t, j.follow(persistence.ReadAllOptions{Filter: n.Float().Eq(1 << 53)}), 1)
	require.Len(t, j.follow(persistence.ReadAllOptions{Filter: n.Text().Eq("1")}), 1)
}
