package journaltest

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var listing = cases{
	"streams that exist are listed by name":             listStreams,
	"the conditions of a listing must all hold":         listChosen,
	"a listing is read in pages of any size":            listPaged,
	"numbers in the metadata of streams compare":        listNumbers,
	"categories of streams that exist are listed once":  listCategories,
	"names are matched by their bytes":                  listSpellings,
	"options of a listing out of range are invalid":     listInvalid,
	"a loop over a listing may be left and begun again": listAgain,
	"system streams are listed on request only":         listSystem,
	"a listing longer than its pages is complete":       listLong,
	"a reader may call the journal inside a listing":    listInside,
}

func categoriesOf(j journal, options persistence.ListOptions) []string {
	j.t.Helper()
	var categories []string
	for category, err := range j.Categories(j.ctx, options) {
		require.NoError(j.t, err)
		categories = append(categories, category)
	}
	return categories
}

func namesOf(j journal, options persistence.ListOptions) []string {
	j.t.Helper()
	var names []string
	for _, info := range j.list(options) {
		names = append(names, string(info.Stream))
	}
	return names
}

func listStreams(t *testing.T, s suite) {
	j := s.open(t)
	require.Empty(t, j.list(persistence.ListOptions{}))
	meta := persistence.Metadata{"k": persistence.String("v")}
	j.create("b-created", meta)
	j.grow("a-written", 3)
	j.grow("c-deleted", 1)
	j.delete("c-deleted")
	j.grow("d-again", 2)
	j.delete("d-again")
	j.grow("d-again", 1)
	j.grow("e-cut", 4)
	j.truncate("e-cut", 3)
	require.ErrorIs(t, j.try("f-refused", persistence.StreamExists, note("n")).Err, persistence.ErrConflict)
	require.Equal(t, persistence.Outcome{}, j.try("g-nothing", persistence.Any))

	require.Equal(t, []persistence.StreamInfo{
		{Stream: "a-written", Version: 3, First: 1, Begin: 1},
		{Stream: "b-created", First: 1, Begin: 1, Metadata: meta, Revision: 1},
		{Stream: "d-again", Version: 4, First: 4, Begin: 4, Revision: 1},
		{Stream: "e-cut", Version: 4, First: 3, Begin: 1},
	}, j.list(persistence.ListOptions{}))
	j.create("c-deleted", nil)
	require.Equal(t, []string{"a-written", "b-created", "c-deleted", "d-again", "e-cut"}, namesOf(j, persistence.ListOptions{}), "a deleted stream that is written again is listed")
}

// listedMetadata creates streams to list and returns their names with their metadata.
func listedMetadata(j journal) map[string]persistence.Metadata {
	j.t.Helper()
	all := map[string]persistence.Metadata{}
	for i, name := range []string{
		"user-1", "user-10", "user-2", "user-profile-7", "user", "user-", "User-1", "users-1", "order-1", "order-2", "-x", "plain", "a.b-1", "a_b-1",
		"axb-1", "ü-1", "z", "zz", "u%r-1", "order--1",
	} {
		metadata := persistence.Metadata{"n": persistence.Int(int64(i % 3)), "even": persistence.Bool(i%2 == 0)}
		if i%4 == 0 {
			metadata["tenant"] = persistence.String("acme")
		}
		all[name] = metadata
		j.create(persistence.StreamID(name), metadata)
		j.grow(persistence.StreamID(name), i%2)
	}
	return all
}

func listChosen(t *testing.T, s suite) {
	j := s.open(t)
	all := listedMetadata(j)
	// want is the choice of the options, made in the simplest way.
	want := func(choose func(name string) bool) []string {
		var names []string
		for name := range all {
			if choose(name) {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		return names
	}
	for what, c := range map[string]struct {
		options persistence.ListOptions
		choose  func(name string) bool
	}{
		"all":           {persistence.ListOptions{}, func(string) bool { return true }},
		"name":          {persistence.ListOptions{Name: "user-1"}, func(n string) bool { return n == "user-1" }},
		"no such name":  {persistence.ListOptions{Name: "user-3"}, func(string) bool { return false }},
		"prefix":        {persistence.ListOptions{Prefix: "user"}, func(n string) bool { return strings.HasPrefix(n, "user") }},
		"prefix a_":     {persistence.ListOptions{Prefix: "a_"}, func(n string) bool { return strings.HasPrefix(n, "a_") }},
		"prefix u%":     {persistence.ListOptions{Prefix: "u%"}, func(n string) bool { return strings.HasPrefix(n, "u%") }},
		"prefix U":      {persistence.ListOptions{Prefix: "U"}, func(n string) bool { return n == "User-1" }},
		"prefix ü":      {persistence.ListOptions{Prefix: "ü"}, func(n string) bool { return n == "ü-1" }},
		"pattern":       {persistence.ListOptions{Pattern: `r-1$`}, func(n string) bool { return strings.HasSuffix(n, "r-1") }},
		"anchored":      {persistence.ListOptions{Pattern: `^user-\d+$`}, func(n string) bool { return n == "user-1" || n == "user-2" || n == "user-10" }},
		"any case":      {persistence.ListOptions{Pattern: `(?i)^USER-1$`}, func(n string) bool { return strings.EqualFold(n, "user-1") }},
		"category":      {persistence.ListOptions{Category: "user"}, func(n string) bool { return strings.HasPrefix(n, "user-") }},
		"category a.b":  {persistence.ListOptions{Category: "a.b"}, func(n string) bool { return n == "a.b-1" }},
		"half category": {persistence.ListOptions{Category: "use"}, func(string) bool { return false }},
		"metadata":      {persistence.ListOptions{Metadata: persistence.Metadata{"tenant": persistence.String("acme")}}, func(n string) bool { _, has := all[n]["tenant"]; return has }},
		"metadata and more": {persistence.ListOptions{Metadata: persistence.Metadata{"n": persistence.Int(1), "even": persistence.Bool(true)}}, func(n string) bool {
			return all[n]["n"] == persistence.Int(1) && all[n]["even"] == persistence.Bool(true)
		}},
		"another kind":  {persistence.ListOptions{Metadata: persistence.Metadata{"n": persistence.String("1")}}, func(string) bool { return false }},
		"no such key":   {persistence.ListOptions{Metadata: persistence.Metadata{"N": persistence.Int(1)}}, func(string) bool { return false }},
		"all of it":     {persistence.ListOptions{Name: "user-1", Prefix: "us", Pattern: "1", Category: "user"}, func(n string) bool { return n == "user-1" }},
		"nothing in it": {persistence.ListOptions{Name: "user-1", Prefix: "or"}, func(string) bool { return false }},
		"half of it":    {persistence.ListOptions{Prefix: "user", Pattern: "1", Category: "users"}, func(n string) bool { return n == "users-1" }},
		"with metadata": {
			persistence.ListOptions{Category: "user", Metadata: persistence.Metadata{"even": persistence.Bool(false)}},
			func(n string) bool { return strings.HasPrefix(n, "user-") && all[n]["even"] == persistence.Bool(false) },
		},
	} {
		require.Equal(t, want(c.choose), namesOf(j, c.options), what)
		pagedAlike(j, c.options)
	}
}

// pagedAlike requires that options choose the same streams when they are listed at once, in
// pages, and in parts.
func pagedAlike(j journal, options persistence.ListOptions) {
	j.t.Helper()
	all := j.list(options)
	for _, limit := range []int{1, 3, 1000, math.MaxInt} {
		var paged []persistence.StreamInfo
		page := options
		page.Limit = limit
		for full := true; full; {
			part := j.list(page)
			require.LessOrEqual(j.t, len(part), limit)
			paged = append(paged, part...)
			if full = len(part) == limit; full {
				page.After = string(part[limit-1].Stream)
			}
		}
		require.Equal(j.t, all, paged, "pages of %d, %+v", limit, options)
	}
	for _, offset := range []int{1, 2, len(all), len(all) + 1, math.MaxInt} {
		for _, limit := range []int{0, 1, 2, math.MaxInt} {
			part := options
			part.Offset, part.Limit = offset, limit
			want := all[min(offset, len(all)):]
			if limit > 0 {
				want = want[:min(limit, len(want))]
			}
			require.Equal(j.t, append([]persistence.StreamInfo(nil), want...), j.list(part), "%d from %d, %+v", limit, offset, options)
		}
	}
}

func listPaged(t *testing.T, s suite) {
	j := s.open(t)
	listedMetadata(j)
	pagedAlike(j, persistence.ListOptions{})

	names := namesOf(j, persistence.ListOptions{})
	for _, after := range append(names, "A", "u", "user-1a", "zzz", "\U0010ffff") {
		var want []string
		for _, name := range names {
			if name > after {
				want = append(want, name)
			}
		}
		require.Equal(t, want, namesOf(j, persistence.ListOptions{After: after}), "after %q", after)
		if len(want) > 2 {
			require.Equal(t, want[2:], namesOf(j, persistence.ListOptions{After: after, Offset: 2}), "an offset counts from the given place on")
		}
	}
	require.Equal(t, []string{"user-2"}, namesOf(j, persistence.ListOptions{Prefix: "user-", After: "user-10", Limit: 1}))
}

func listNumbers(t *testing.T, s suite) {
	j := s.open(t)
	for name, value := range map[string]persistence.Value{
		"int": persistence.Int(1), "float": persistence.Float(1), "half": persistence.Float(1.5), "text": persistence.String("1"), "true": persistence.Bool(true),
		"large": persistence.Int(1<<53 + 1), "large float": persistence.Float(1 << 53), "greatest": persistence.Int(math.MaxInt64), "2^63": persistence.Float(1 << 63),
		"empty": persistence.String(""), "zero": persistence.Int(0), "zero float": persistence.Float(0), "false": persistence.Bool(false),
	} {
		j.create(persistence.StreamID(name), persistence.Metadata{"n": value})
	}
	for _, c := range []struct {
		value persistence.Value
		names []string
	}{
		{persistence.Int(1), []string{"float", "int"}},
		{persistence.Float(1), []string{"float", "int"}},
		{persistence.Float(1.5), []string{"half"}},
		{persistence.String("1"), []string{"text"}},
		{persistence.Bool(true), []string{"true"}},
		{persistence.Int(1<<53 + 1), []string{"large"}},
		{persistence.Int(1 << 53), []string{"large float"}},
		{persistence.Float(1 << 53), []string{"large float"}},
		{persistence.Int(math.MaxInt64), []string{"greatest"}},
		{persistence.Float(1 << 63), []string{"2^63"}},
		{persistence.String(""), []string{"empty"}},
		{persistence.Int(0), []string{"zero", "zero float"}},
		{persistence.Float(negativeZero), []string{"zero", "zero float"}},
		{persistence.Bool(false), []string{"false"}},
		{persistence.String("true"), nil},
	} {
		require.Equal(t, c.names, namesOf(j, persistence.ListOptions{Metadata: persistence.Metadata{"n": c.value}}), c.value.Text())
	}
}

func listCategories(t *testing.T, s suite) {
	j := s.open(t)
	require.Empty(t, categoriesOf(j, persistence.ListOptions{}))
	// Names and their categories have different orders: "a!-1" < "a-1".
	for _, name := range []persistence.StreamID{
		"user-1", "user-2", "user-profile-7", "User-1", "a-1", "a!-1", "a.b-1", "ab-1", "plain", "-x", "x-", "ü-1", "user.v2-1", "$sys-1", "$sys", "u%-1",
	} {
		j.grow(name, 1)
	}
	j.create("created-1", nil)
	j.grow("gone-1", 1)
	j.delete("gone-1")
	j.grow("half-1", 1)
	j.grow("half-2", 1)
	j.delete("half-1")

	all := []string{"User", "a", "a!", "a.b", "ab", "created", "half", "u%", "user", "user.v2", "x", "ü"}
	require.Equal(t, all, categoriesOf(j, persistence.ListOptions{}))
	for _, c := range []struct {
		options persistence.ListOptions
		want    []string
	}{
		{persistence.ListOptions{System: true}, append([]string{"$sys"}, all...)},
		{persistence.ListOptions{Name: "user"}, []string{"user"}},
		{persistence.ListOptions{Name: "user-1"}, nil},
		{persistence.ListOptions{Prefix: "user"}, []string{"user", "user.v2"}},
		{persistence.ListOptions{Prefix: "u%"}, []string{"u%"}},
		{persistence.ListOptions{Pattern: `^.$`}, []string{"a", "x", "ü"}},
		{persistence.ListOptions{Prefix: "a", Pattern: `b$`}, []string{"a.b", "ab"}},
		{persistence.ListOptions{Name: "gone"}, nil},
	} {
		require.Equal(t, c.want, categoriesOf(j, c.options), "%+v", c.options)
	}
	for limit := 1; limit <= len(all)+1; limit++ {
		for offset := range len(all) + 2 {
			want := all[min(offset, len(all)):min(offset+limit, len(all))]
			require.Equal(t, append([]string(nil), want...), categoriesOf(j, persistence.ListOptions{Limit: limit, Offset: offset}))
		}
		require.Equal(t, append([]string(nil), all[min(limit, len(all)):]...), categoriesOf(j, persistence.ListOptions{After: all[min(limit, len(all))-1]}))
	}
}

func listSpellings(t *testing.T, s suite) {
	j := s.open(t)
	names := spellings()
	var appends []persistence.Append
	for _, name := range names {
		appends = append(appends, persistence.Append{Stream: persistence.StreamID(name), Events: notes("n", 1)})
	}
	for _, outcome := range j.tryAll(appends...) {
		require.NoError(t, outcome.Err)
	}
	slices.Sort(names)

	require.Equal(t, names, namesOf(j, persistence.ListOptions{System: true}), "names are ordered by their bytes, not by an alphabet")
	for i, name := range names {
		require.Equal(t, []string{name}, namesOf(j, persistence.ListOptions{Name: name, System: true}), "%q", name)
		require.Equal(t, name, namesOf(j, persistence.ListOptions{Prefix: name, System: true})[0], "%q", name)
		require.Equal(t, append([]string(nil), names[i+1:min(i+3, len(names))]...), namesOf(j, persistence.ListOptions{After: name, Limit: 2, System: true}), "after %q", name)
		for _, found := range namesOf(j, persistence.ListOptions{Prefix: name, System: true}) {
			require.True(t, strings.HasPrefix(found, name), "%q does not begin with %q", found, name)
		}
	}
}

func listInvalid(t *testing.T, s suite) {
	j := s.open(t)
	listedMetadata(j)
	both := map[string]persistence.ListOptions{
		"negative limit": {Limit: -1}, "negative offset": {Offset: -1}, "pattern": {Pattern: "("}, "not RE2": {Pattern: `(a)\1`}, "look ahead": {Pattern: `(?=a)`},
		"long pattern": {Pattern: strings.Repeat("a", persistence.MaxPattern+1)}, "pattern not UTF-8": {Pattern: "\xff"},
		"NUL in name": {Name: "a\x00"}, "NUL in prefix": {Prefix: "a\x00"}, "prefix not UTF-8": {Prefix: "\xc3"}, "after not UTF-8": {After: "\xff"},
		"long name": {Name: strings.Repeat("n", persistence.MaxStreamName+1)}, "long prefix": {Prefix: strings.Repeat("n", persistence.MaxStreamName+1)},
		"one of many": {Name: "user-1", Limit: -1},
	}
	streams := map[string]persistence.ListOptions{
		"metadata": {Metadata: persistence.Metadata{"k": {}}}, "metadata key": {Metadata: persistence.Metadata{"": persistence.Int(1)}},
		"NUL in metadata": {Metadata: persistence.Metadata{"k": persistence.String("\x00")}}, "category not UTF-8": {Category: "\xff"},
	}
	categories := map[string]persistence.ListOptions{"category": {Category: "user"}, "metadata": {Metadata: persistence.Metadata{"k": persistence.Int(1)}}}
	for _, group := range []map[string]persistence.ListOptions{both, streams} {
		for what, options := range group {
			var errs []error
			for info, err := range j.List(j.ctx, options) {
				require.Zero(t, info)
				errs = append(errs, err)
			}
			require.Len(t, errs, 1, what)
			require.ErrorIs(t, errs[0], persistence.ErrInvalid, what)
		}
	}
	for _, group := range []map[string]persistence.ListOptions{both, categories} {
		for what, options := range group {
			var errs []error
			for category, err := range j.Categories(j.ctx, options) {
				require.Empty(t, category)
				errs = append(errs, err)
			}
			require.Len(t, errs, 1, what)
			require.ErrorIs(t, errs[0], persistence.ErrInvalid, what)
		}
	}
	require.Empty(t, namesOf(j, persistence.ListOptions{Pattern: strings.Repeat("a", persistence.MaxPattern)}), "a pattern of the greatest length is valid")
}

func listAgain(t *testing.T, s suite) {
	j := s.open(t)
	for i := range 5 {
		j.grow(persistence.StreamID(fmt.Sprintf("again%d-1", i)), 1)
	}
	streams, categories := j.List(j.ctx, persistence.ListOptions{}), j.Categories(j.ctx, persistence.ListOptions{})

	for range 40 { // more often than a journal has connections to lose
		for info, err := range streams {
			require.NoError(t, err)
			require.Equal(t, persistence.StreamID("again0-1"), info.Stream)
			break
		}
		for category, err := range categories {
			require.NoError(t, err)
			require.Equal(t, "again0", category)
			break
		}
	}
	j.grow("again5-1", 1)

	count := 0
	for _, err := range streams {
		require.NoError(t, err)
		count++
	}
	for _, err := range categories {
		require.NoError(t, err)
		count++
	}
	require.Equal(t, 12, count, "each loop lists the streams that are there then")
}

func listSystem(t *testing.T, s suite) {
	j := s.open(t)
	for _, name := range []persistence.StreamID{"$a-1", "$", "$a", "a$-1", "a-$"} {
		j.create(name, nil)
	}

	require.Equal(t, []string{"a$-1", "a-$"}, namesOf(j, persistence.ListOptions{}))
	require.Equal(t, []string{"$", "$a", "$a-1", "a$-1", "a-$"}, namesOf(j, persistence.ListOptions{System: true}))
	for _, options := range []persistence.ListOptions{{Name: "$a-1"}, {Prefix: "$"}, {Category: "$a"}, {Pattern: `^\$`}} {
		require.Empty(t, namesOf(j, options), "%+v", options)
		options.System = true
		require.Contains(t, namesOf(j, options), "$a-1", "%+v", options)
	}
	require.Equal(t, []string{"a", "a$"}, categoriesOf(j, persistence.ListOptions{}))
}

func listLong(t *testing.T, s suite) {
	j := s.open(t)
	const count = 2300
	var appends []persistence.Append
	var want []string
	for i := range count {
		name := fmt.Sprintf("long-%04d", i)
		appends = append(appends, persistence.Append{Stream: persistence.StreamID(name), Events: notes("n", 1)})
		want = append(want, name)
	}
	for part := range slices.Chunk(appends, 500) {
		for _, outcome := range j.tryAll(part...) {
			require.NoError(t, outcome.Err)
		}
	}

	require.Equal(t, want, namesOf(j, persistence.ListOptions{}))
	require.Equal(t, want[1999:2100], namesOf(j, persistence.ListOptions{Offset: 1999, Limit: 101}))
	require.Equal(t, want[2222:2223], namesOf(j, persistence.ListOptions{Pattern: "2222$"}), "a match far behind the start is found")
	require.Equal(t, []string{"long"}, categoriesOf(j, persistence.ListOptions{}))
}

func listInside(t *testing.T, s suite) {
	j := s.open(t)
	for i := range 3 {
		j.grow(persistence.StreamID(fmt.Sprintf("inside-%d", i)), 1)
	}
	for info, err := range j.List(j.ctx, persistence.ListOptions{Prefix: "inside-"}) {
		require.NoError(t, err)
		j.store(info.Stream, persistence.Exact(info.Version), note("2"))
		for category, err := range j.Categories(j.ctx, persistence.ListOptions{}) {
			require.NoError(t, err)
			require.Equal(t, "inside", category)
			require.Equal(t, persistence.Version(2), j.info(info.Stream).Version)
		}
	}
}
