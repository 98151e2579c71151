package journaltest

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

var refusing = cases{
	"input that breaks a rule is refused, with the name of its field": refusesByField,
	"filters that break a rule are refused by every reader":           refusesFilters,
	"values at the ends of their range are no error":                  takesTheEnds,
	"filters at their limits are answered":                            takesLargeFilters,
}

// blames requires that an error is of kind ErrInvalid and names this field.
func blames(j journal, field string, err error, what string) {
	j.t.Helper()
	var invalid *persistence.InvalidError
	require.ErrorAs(j.t, err, &invalid, what)
	require.ErrorIs(j.t, err, persistence.ErrInvalid, what)
	require.Equal(j.t, field, invalid.Field, what)
	require.Equal(j.t, persistence.ErrInvalid, persistence.ErrorKindOf(err), what)
}

// brokenEvents are events that every append must refuse, by the field that is wrong.
func brokenEvents() map[string][]persistence.Event {
	one := func(e persistence.Event) persistence.Event { e.Type = "t"; return e }
	meta := func(key string, value persistence.Value) persistence.Event {
		return one(persistence.Event{Metadata: persistence.Metadata{key: value}})
	}
	many := persistence.Metadata{}
	for i := range persistence.MaxMetadataKeys + 1 {
		many[fmt.Sprint(i)] = persistence.Int(int64(i))
	}
	var types []persistence.Event
	for _, name := range brokenNames() {
		types = append(types, persistence.Event{Type: name})
	}
	return map[string][]persistence.Event{
		"type":    append(types, persistence.Event{Type: persistence.TypeDeleted}, persistence.Event{Type: persistence.TypeGone}),
		"payload": {one(persistence.Event{Payload: make([]byte, persistence.MaxPayload+1)})},
		"headers": {one(persistence.Event{Headers: make([]byte, persistence.MaxHeaders+1)})},
		"schema":  {one(persistence.Event{Schema: -1}), one(persistence.Event{Schema: math.MinInt32})},
		"metadata": {
			one(persistence.Event{Metadata: many}), meta("k", persistence.String(strings.Repeat("x", persistence.MaxMetadataBytes))),
		},
		"metadata key": {
			meta("", persistence.Int(1)), meta("a\x00", persistence.Int(1)), meta("\xff", persistence.Int(1)), meta("\xed\xa0\x80", persistence.Int(1)),
			meta(strings.Repeat("k", persistence.MaxMetadataKey+1), persistence.Int(1)),
		},
		"metadata value": {
			meta("k", persistence.Value{}), meta("k", persistence.Float(math.NaN())), meta("k", persistence.Float(math.Inf(1))), meta("k", persistence.Float(math.Inf(-1))),
			meta("k", persistence.String("a\x00b")), meta("k", persistence.String("\xc3")), meta("k", persistence.String("\xed\xb0\x80")),
		},
		"tag": {tagged(""), tagged("a", "a"), tagged("a\x00"), tagged("\n"), tagged("\xff"), tagged("\u202e"), tagged(strings.Repeat("t", persistence.MaxTag+1))},
		"tags": {
			{Type: "t", Tags: strings.Split(strings.Repeat("t", persistence.MaxTags+1), "")},
		},
	}
}

// brokenAppends are appends that every journal must refuse, by the field that is wrong.
func brokenAppends() map[string][]persistence.Append {
	all := map[string][]persistence.Append{}
	add := func(field string, a persistence.Append) { all[field] = append(all[field], a) }
	for field, events := range brokenEvents() {
		for _, event := range events {
			add(field, to("fine-1", persistence.Any, event))
			add(field, to("fine-1", persistence.Any, note("valid"), event))
		}
	}
	for _, name := range brokenNames() {
		add("stream", to(persistence.StreamID(name), persistence.Any, note("n")))
		add("stream", to(persistence.StreamID(name), persistence.Any))
	}
	for _, expected := range []persistence.Expected{-3, math.MinInt64, persistence.Exact(persistence.MaxVersion), persistence.Exact(persistence.MaxVersion + 1), persistence.Exact(math.MaxUint64)} {
		add("expected", to("fine-1", expected, note("n")))
	}
	add("event id", to("fine-1", persistence.Any, append(named(note("n")), note("n"))...))
	add("event id", to("fine-1", persistence.Any, append(notes("n", 1), named(note("n"))...)...))
	add("event id", to("fine-1", persistence.Any, twice(named(note("n"))[0])...))
	add("events", to("fine-1", persistence.Any, notes("n", persistence.MaxAppendEvents+1)...))
	add("events", to("fine-1", persistence.Any, heavy(9)...))
	return all
}

// heavy makes events with payloads of the greatest size.
func heavy(count int) []persistence.Event {
	events := make([]persistence.Event, count)
	for i := range events {
		events[i] = persistence.Event{Type: "heavy", Payload: make([]byte, persistence.MaxPayload)}
	}
	return events
}

func refusesByField(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("fine-1", 3)
	j.unchanged(func() {
		for field, appends := range brokenAppends() {
			for i, a := range appends {
				refusesAppend(j, field, a, fmt.Sprintf("%s %d", field, i))
			}
		}
		refusesCalls(j)
		refusesOptions(j)
	})
}

// refusesAppend requires that all ways to append refuse this append.
func refusesAppend(j journal, field string, a persistence.Append, what string) {
	j.t.Helper()
	outcomes, err := j.Append(j.ctx, to("fine-1", persistence.Any, note("valid")), a)
	require.Empty(j.t, outcomes, what)
	blames(j, field, err, what)
	if submitter, ok := persistence.As[persistence.Submitter](j.Journal); ok {
		blames(j, field, submitter.Submit(a, nil, func(persistence.Outcome) {
			j.t.Errorf("the callback was called for an append that was refused at once")
		}), what)
	}
	if transactor, ok := persistence.As[persistence.Transactor](j.Journal); ok {
		blames(j, field, transactor.Transact(j.ctx, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("fine-1", persistence.Any, note("valid")), a)
			blames(j, field, err, what)
			return nil
		}), what)
	}
}

// refusesCalls makes the other calls that change something, with broken input.
func refusesCalls(j journal) {
	j.t.Helper()
	for what, name := range brokenNames() {
		for call, err := range everyCallOf(j, persistence.StreamID(name)) {
			field := "stream"
			if call == "DeleteSnapshots" {
				field = "category"
			}
			blames(j, field, err, call+" of a name that is "+what)
		}
	}
	for _, field := range []string{"metadata", "metadata key", "metadata value"} {
		for _, event := range brokenEvents()[field] {
			blames(j, field, j.Create(j.ctx, "new-1", event.Metadata), "Create")
			_, err := j.SetMetadata(j.ctx, "fine-1", event.Metadata, persistence.AnyRevision)
			blames(j, field, err, "SetMetadata")
		}
	}
	for _, revision := range []persistence.Revision{-2, math.MinInt64} {
		_, err := j.SetMetadata(j.ctx, "fine-1", nil, revision)
		blames(j, "revision", err, "SetMetadata")
	}
	for _, expected := range []persistence.Expected{-3, math.MinInt64} {
		_, err := j.Delete(j.ctx, "fine-1", expected)
		blames(j, "expected", err, "Delete")
	}
	_, err := j.Truncate(j.ctx, "fine-1", persistence.MaxVersion+1)
	blames(j, "before", err, "Truncate")
}

// refusesOptions reads with options that are out of range.
func refusesOptions(j journal) {
	j.t.Helper()
	for _, options := range []struct {
		field string
		persistence.ReadOptions
	}{
		{"limit", persistence.ReadOptions{Limit: -1}},
		{"limit", persistence.ReadOptions{Limit: math.MinInt}},
		{"from", persistence.ReadOptions{From: persistence.MaxVersion + 1}},
		{"from", persistence.ReadOptions{From: math.MaxUint64, Backward: true}},
	} {
		refusesRead(j, options.field, options.ReadOptions)
	}
	for _, options := range []struct {
		field string
		persistence.ReadAllOptions
	}{
		{"page rows", persistence.ReadAllOptions{PageRows: -1}},
		{"page rows", persistence.ReadAllOptions{PageRows: math.MinInt, Backward: true}},
		{"page bytes", persistence.ReadAllOptions{PageBytes: -1}},
		{"page bytes", persistence.ReadAllOptions{PageBytes: math.MinInt, Backward: true}},
		{"after", persistence.ReadAllOptions{After: persistence.Positions{-1}}},
		{"after", persistence.ReadAllOptions{After: persistence.Positions{0, math.MinInt64}}},
		{"after", persistence.ReadAllOptions{After: persistence.Positions{-1}, Backward: true}},
	} {
		blames(j, options.field, onlyError(j, j.ReadAll(j.ctx, options.ReadAllOptions)), "ReadAll")
	}
	for _, options := range []struct {
		field string
		persistence.ListOptions
	}{
		{"limit", persistence.ListOptions{Limit: -1}},
		{"offset", persistence.ListOptions{Offset: math.MinInt}},
		{"name", persistence.ListOptions{Name: "a\x00"}},
		{"name", persistence.ListOptions{Name: strings.Repeat("n", persistence.MaxStreamName+1)}},
		{"prefix", persistence.ListOptions{Prefix: "\xff"}},
		{"after", persistence.ListOptions{After: "a\n"}},
		{"pattern", persistence.ListOptions{Pattern: "("}},
		{"pattern", persistence.ListOptions{Pattern: "\xff"}},
		{"pattern", persistence.ListOptions{Pattern: "(?=a)"}},
		{"pattern", persistence.ListOptions{Pattern: "(" + strings.Repeat("a", 1000) + "){1000}"}},
		{"pattern", persistence.ListOptions{Pattern: strings.Repeat("a", persistence.MaxPattern+1)}},
	} {
		what := fmt.Sprintf("by %+v", options.ListOptions)
		blames(j, options.field, onlyError(j, j.List(j.ctx, options.ListOptions)), "List "+what)
		blames(j, options.field, onlyError(j, j.Categories(j.ctx, options.ListOptions)), "Categories "+what)
	}
	one := persistence.Metadata{"k": persistence.Int(1)}
	blames(j, "category", onlyError(j, j.List(j.ctx, persistence.ListOptions{Category: "\xff"})), "List")
	blames(j, "category", onlyError(j, j.Categories(j.ctx, persistence.ListOptions{Category: "c"})), "Categories")
	blames(j, "metadata", onlyError(j, j.Categories(j.ctx, persistence.ListOptions{Metadata: one})), "Categories")
	blames(j, "metadata value", onlyError(j, j.List(j.ctx, persistence.ListOptions{Metadata: persistence.Metadata{"k": {}}})), "List")
	blames(j, "metadata key", onlyError(j, j.List(j.ctx, persistence.ListOptions{Metadata: persistence.Metadata{"": persistence.Int(1)}})), "List")
}

// refusesRead requires that all ways to read a stream refuse these options, also when the
// stream does not exist.
func refusesRead(j journal, field string, options persistence.ReadOptions) {
	j.t.Helper()
	for _, stream := range []persistence.StreamID{"fine-1", "missing-1"} {
		blames(j, field, onlyError(j, j.Read(j.ctx, stream, options)), "Read")
		count, err := j.Count(j.ctx, stream, options)
		require.Zero(j.t, count)
		blames(j, field, err, "Count")
		if transactor, ok := persistence.As[persistence.Transactor](j.Journal); ok {
			require.NoError(j.t, transactor.Transact(j.ctx, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Read(stream, options)
				blames(j, field, err, "Read in a transaction")
				return nil
			}))
		}
	}
}

// onlyError returns the error of a loop that must yield nothing else.
func onlyError[T any](j journal, loop iter.Seq2[T, error]) error {
	j.t.Helper()
	var errs []error
	for _, err := range loop {
		errs = append(errs, err)
	}
	require.Len(j.t, errs, 1, "a loop that fails yields only the error")
	return errs[0]
}

func refusesFilters(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("fine-1", 3)
	k := filter.Meta("k")
	deep, wide := filter.Type().Eq("bottom"), filter.Version().Eq(0)
	for i := range filter.MaxDepth {
		if deep = deep.And(filter.Tag().Exists()); i%2 == 0 {
			deep = deep.Or(filter.Tag().Exists())
		}
	}
	operands := make([]persistence.Version, filter.MaxOperands+1)
	for i := range operands {
		operands[i] = persistence.Version(i)
		if i < filter.MaxLeaves {
			wide = wide.Or(filter.Version().Eq(operands[i] + 1))
		}
	}

	for what, c := range map[string]struct {
		field  string
		filter filter.Filter
	}{
		"no key":             {"metadata key", filter.Meta("").Exists()},
		"a long key":         {"metadata key", filter.Meta(strings.Repeat("k", persistence.MaxMetadataKey+1)).Exists()},
		"a key with NUL":     {"metadata key", filter.Meta("'\x00").Int().Eq(1)},
		"text with NUL":      {"metadata filter", k.Text().Eq("\x00")},
		"half a surrogate":   {"metadata filter", k.Text().Eq("\xed\xa0\x80")},
		"long text":          {"metadata filter", k.Text().Eq(strings.Repeat("x", filter.MaxOperand+1))},
		"not a number":       {"metadata filter", k.Float().Gt(math.NaN())},
		"infinity":           {"metadata filter", k.Float().In(1, math.Inf(-1))},
		"mixed kinds":        {"metadata filter", k.In(persistence.Int(1), persistence.String("1"))},
		"no value":           {"metadata filter", k.Eq(persistence.Value{})},
		"no pattern":         {"type filter", filter.Type().Regex("(")},
		"a long pattern":     {"stream filter", filter.Stream().Regex(strings.Repeat("a", filter.MaxRegex+1))},
		"an exploding one":   {"category filter", filter.Category().Regex("((a{100}){100}){100}")},
		"many patterns":      {"filter", filter.Type().Regex("a{1000}").And(filter.Tag().Regex("b{1000}"), k.Text().Regex("c{1000}"), filter.Stream().Regex("d{1000}"), filter.Category().Regex("e{1000}"))},
		"a tag not of UTF-8": {"tag filter", filter.Tag().Eq("\xff")},
		"a great version":    {"version filter", filter.Version().Eq(persistence.MaxVersion + 1)},
		"a negative offset":  {"position filter", filter.Offset().Gt(-1)},
		"an early time":      {"time filter", filter.Time().Gt(time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC))},
		"a late time":        {"time filter", filter.Time().Lt(time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC))},
		"many operands":      {"version filter", filter.Version().In(operands...)},
		"depth":              {"filter", deep},
		"width":              {"filter", wide},
		"one deep down":      {"tag filter", filter.Not(filter.Type().Eq("a").Or(filter.Tag().Regex("[")))},
	} {
		for _, backward := range []bool{false, true} {
			refusesRead(j, c.field, persistence.ReadOptions{Filter: c.filter, Backward: backward})
			blames(j, c.field, onlyError(j, j.ReadAll(j.ctx, persistence.ReadAllOptions{Filter: c.filter, Backward: backward})), what)
		}
	}
}

// takesTheEnds passes the greatest numbers there are. They are not wrong, only beyond
// everything that is stored.
func takesTheEnds(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("fine-1", 3)
	all := plain(j.all())

	for _, limit := range []int{math.MaxInt, math.MaxInt64, 1_000_000_000} {
		events, err := j.read("fine-1", persistence.ReadOptions{Limit: limit})
		require.NoError(t, err)
		require.Equal(t, all, plain(events))
		require.Equal(t, all, plain(j.follow(persistence.ReadAllOptions{PageRows: limit, PageBytes: limit})))
		require.Len(t, j.list(persistence.ListOptions{Limit: limit}), 1)
		require.Empty(t, j.list(persistence.ListOptions{Limit: limit, Offset: limit}))
	}
	events, err := j.read("fine-1", persistence.ReadOptions{From: persistence.MaxVersion})
	require.NoError(t, err)
	require.Empty(t, events)
	events, err = j.read("fine-1", persistence.ReadOptions{From: persistence.MaxVersion, Backward: true, Limit: math.MaxInt})
	require.NoError(t, err)
	require.Len(t, events, 3)
	require.Empty(t, j.follow(persistence.ReadAllOptions{After: persistence.Positions{math.MaxInt64}}))
	j.unchanged(func() {
		for _, expected := range []persistence.Expected{persistence.Exact(persistence.MaxVersion - 1), persistence.Exact(1 << 53), persistence.Exact(4)} {
			require.ErrorIs(t, j.try("fine-1", expected, note("n")).Err, persistence.ErrConflict)
			_, err := j.Delete(j.ctx, "fine-1", expected)
			require.ErrorIs(t, err, persistence.ErrConflict)
		}
		_, err := j.SetMetadata(j.ctx, "fine-1", persistence.Metadata{"k": persistence.Int(1)}, math.MaxInt64)
		require.ErrorIs(t, err, persistence.ErrRevision)
	})
	require.Equal(t, persistence.Version(3), j.truncate("fine-1", persistence.MaxVersion), "the newest event stays")
}

// takesLargeFilters uses filters that are as large as they may be, larger than some stores
// can bind in one statement.
func takesLargeFilters(t *testing.T, s suite) {
	j := s.open(t)
	j.store("fine-1", persistence.NoStream, note("1"), tagged("a"), persistence.Event{Type: "t", Metadata: persistence.Metadata{"k": persistence.Int(1)}})
	all := plain(j.all())
	var ids []persistence.EventID
	var texts, tags []string
	var streams []persistence.StreamID
	var numbers []persistence.Value
	for i := range filter.MaxOperands {
		ids = append(ids, persistence.NewEventID())
		texts = append(texts, fmt.Sprint("t", i))
		tags = append(tags, fmt.Sprint("tag ", i))
		streams = append(streams, persistence.StreamID(fmt.Sprint("s-", i)))
		numbers = append(numbers, persistence.Int(int64(i)+2))
	}
	ids[999], texts[999], tags[999], streams[999], numbers[999] = all[0].ID, "noted", "a", "fine-1", persistence.Int(1)
	deep, wide := filter.Type().Eq("noted"), filter.Type().Eq("noted")
	for i := range filter.MaxDepth - 1 {
		if i%2 == 0 {
			deep = deep.And(filter.Stream().Eq("fine-1"))
		} else {
			deep = deep.Or(filter.Tag().Eq("b"))
		}
	}
	for i := range filter.MaxLeaves - 1 {
		wide = wide.Or(filter.Tag().Eq(fmt.Sprint("tag ", i)))
	}

	for what, f := range map[string]filter.Filter{
		"ids": filter.ID().In(ids...), "types": filter.Type().In(texts...), "tags": filter.Tag().In(tags...), "streams": filter.Stream().In(streams...),
		"metadata": filter.Meta("k").In(numbers...), "no metadata": filter.Meta("k").NotIn(numbers...), "depth": deep, "width": wide,
		"all sets": filter.ID().In(ids...).And(filter.Type().In(texts...), filter.Stream().In(streams...)),
		"long":     filter.Meta("k").Text().Eq(strings.Repeat("x", filter.MaxOperand)),
	} {
		require.NoError(t, f.Check(), what)
		for _, backward := range []bool{false, true} {
			want := kept(all, f.Match)
			if backward {
				slices.Reverse(want)
			}
			require.Equal(t, want, plain(j.follow(persistence.ReadAllOptions{Filter: f, Backward: backward})), what)
			events, err := j.read("fine-1", persistence.ReadOptions{Filter: f, Backward: backward})
			require.NoError(t, err, what)
			require.Equal(t, want, plain(events), what)
		}
	}
}
