package filter_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestJSONComesBack(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		f := drawFilter(t)
		written, err := json.Marshal(f.Filter)
		require.NoError(t, err)

		var read filter.Filter
		require.NoError(t, json.Unmarshal(written, &read))

		again, err := json.Marshal(read)
		require.NoError(t, err)
		require.Equal(t, string(written), string(again))
		require.Equal(t, f.String(), read.String())
		for range 5 {
			event := drawEvent(t)
			require.Equal(t, f.Match(event), read.Match(event), "%s", written)
		}
	})
}

// The form is stored with projections and sent between versions, so it is pinned.
func TestJSONForm(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 678_901_234, time.FixedZone("", 3600))
	k := filter.Meta("k")
	for want, f := range map[string]filter.Filter{
		`{}`:                                     {},
		`{"not":{}}`:                             filter.Not(filter.Filter{}),
		`{"field":"type","op":"eq","value":"x"}`: filter.Type().Eq("x"),
		`{"field":"id","op":"ne","value":"01000000-0000-0000-0000-000000000000"}`:    filter.ID().Ne(persistence.EventID{1}),
		`{"field":"time","op":"ge","value":"2026-01-02T02:04:05.678901Z"}`:           filter.Time().Ge(at),
		`{"field":"version","op":"lt","value":9223372036854775807}`:                  filter.Version().Lt(math.MaxInt64),
		`{"field":"position","op":"gt","value":0}`:                                   filter.Offset().Gt(0),
		`{"field":"stream","op":"prefix","value":"account-"}`:                        filter.Stream().Prefix("account-"),
		`{"field":"category","op":"matches","value":"^a.c$"}`:                        filter.Category().Regex("^a.c$"),
		`{"field":"tag","op":"exists"}`:                                              filter.Tag().Exists(),
		`{"field":"tag","op":"in","value":[]}`:                                       filter.Tag().In(),
		`{"field":"version","op":"nin","value":[1,2]}`:                               filter.Version().NotIn(2, 1, 2),
		`{"meta":"k","op":"le","value":9007199254740993}`:                            k.Int().Le(1<<53 + 1),
		`{"meta":"k","op":"le","value":9.007199254740992e+15}`:                       k.Float().Le(1 << 53),
		`{"meta":"k","op":"eq","value":0.0}`:                                         k.Float().Eq(math.Copysign(0, -1)),
		`{"meta":"k","op":"eq","value":1e+300}`:                                      k.Float().Eq(1e300),
		`{"meta":"k","op":"eq","value":true}`:                                        k.Eq(persistence.Bool(true)),
		`{"meta":"k","op":"in","value":[0.5,1]}`:                                     k.In(persistence.Int(1), persistence.Float(0.5), persistence.Float(1)),
		`{"meta":"x'y\".","op":"eq","value":"\\ \u2028 \n ü"}`:                       filter.Meta(`x'y".`).Text().Eq("\\ \u2028 \n ü"),
		`{"and":[{"field":"tag","op":"exists"},{"not":{"meta":"k","op":"exists"}}]}`: filter.Tag().Exists().And(filter.Not(k.Exists())),
		`{"or":[{"field":"tag","op":"exists"},{"and":[{"meta":"k","op":"exists"},{"meta":"l","op":"exists"}]}]}`: filter.
			Tag().Exists().Or(k.Exists().And(filter.Meta("l").Exists())),
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			got, err := f.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, want, string(got))

			var read filter.Filter
			require.NoError(t, read.UnmarshalJSON(got))
			again, err := read.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, want, string(again))
		})
	}
}

func TestJSONIsReadInOtherSpellings(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{
		` { "value" : "x" , "op" : "=" , "field" : "type" } `:                `{"field":"type","op":"eq","value":"x"}`,
		`{"meta":"k","op":">=","value":1}`:                                   `{"meta":"k","op":"ge","value":1}`,
		`{"meta":"k","op":"in","value":[2,1,1.0]}`:                           `{"meta":"k","op":"in","value":[1,2]}`,
		`{"field":"time","op":"<","value":"2026-01-02T00:00:00+01:00"}`:      `{"field":"time","op":"lt","value":"2026-01-01T23:00:00Z"}`,
		`{"and":[{"and":[{"meta":"k","op":"exists"},{}]},{}]}`:               `{"meta":"k","op":"exists"}`,
		`{"or":[{"meta":"k","op":"exists"},{}]}`:                             `{}`,
		`{"not":{"not":{"meta":"k","op":"exists"}}}`:                         `{"meta":"k","op":"exists"}`,
		`{"meta":"\ud83d\ude00","op":"eq","value":"\\ud800 \ud83d\ude00\\"}`: `{"meta":"😀","op":"eq","value":"\\ud800 😀\\"}`,
		`{"meta":"k","op":"eq","value":1E2}`:                                 `{"meta":"k","op":"eq","value":100.0}`,
		`{"meta":"k","op":"eq","value":9223372036854775808}`:                 `{"meta":"k","op":"eq","value":9.223372036854776e+18}`,
	} {
		t.Run(given, func(t *testing.T) {
			t.Parallel()
			var read filter.Filter
			require.NoError(t, json.Unmarshal([]byte(given), &read))
			got, err := read.MarshalJSON()
			require.NoError(t, err)
			require.Equal(t, want, string(got))
		})
	}
}

var refused = map[string]struct{ document, field string }{
	"nothing":                     {``, "filter"},
	"not JSON":                    {`{`, "filter"},
	"two documents":               {`{} {}`, "filter"},
	"null":                        {`null`, "filter"},
	"a list":                      {`[]`, "filter"},
	"text":                        {`"s3cr3t"`, "filter"},
	"an unknown member":           {`{"s3cr3t":1}`, "filter"},
	"a member in other case":      {`{"Not":{}}`, "filter"},
	"two members":                 {`{"not":{},"and":[{}]}`, "filter"},
	"a member twice":              {`{"not":{},"not":{}}`, "filter"},
	"an operator twice":           {`{"field":"tag","op":"exists","op":"exists"}`, "filter"},
	"field and metadata":          {`{"field":"type","meta":"k","op":"exists"}`, "filter"},
	"a leaf that is also a tree":  {`{"meta":"k","op":"exists","not":{}}`, "filter"},
	"no field":                    {`{"op":"eq","value":1}`, "filter"},
	"no operator":                 {`{"field":"type","value":"x"}`, "filter"},
	"a field alone":               {`{"field":"type"}`, "filter"},
	"a value alone":               {`{"value":"s3cr3t"}`, "filter"},
	"an unknown field":            {`{"field":"s3cr3t","op":"eq","value":1}`, "filter"},
	"metadata as a field":         {`{"field":"meta","op":"exists"}`, "filter"},
	"a field that is no text":     {`{"field":1,"op":"exists"}`, "filter"},
	"a key that is an object":     {`{"meta":{"not":{}},"op":"exists"}`, "filter"},
	"an operator that is null":    {`{"meta":"k","op":null}`, "filter"},
	"an unknown operator":         {`{"field":"type","op":"s3cr3t","value":1}`, "type filter"},
	"an operator in other case":   {`{"field":"type","op":"EQ","value":"x"}`, "type filter"},
	"and of nothing":              {`{"and":[]}`, "filter"},
	"or of nothing":               {`{"or":[]}`, "filter"},
	"and of an object":            {`{"and":{}}`, "filter"},
	"and with null":               {`{"and":[null]}`, "filter"},
	"not of null":                 {`{"not":null}`, "filter"},
	"no operand":                  {`{"field":"type","op":"eq"}`, "type filter"},
	"a list for one operand":      {`{"field":"type","op":"eq","value":["x"]}`, "type filter"},
	"one operand for a list":      {`{"field":"type","op":"in","value":"x"}`, "type filter"},
	"no list":                     {`{"field":"type","op":"in"}`, "type filter"},
	"an operand too much":         {`{"meta":"k","op":"exists","value":true}`, "metadata filter"},
	"an empty list too much":      {`{"meta":"k","op":"exists","value":[]}`, "metadata filter"},
	"a null operand":              {`{"meta":"k","op":"eq","value":null}`, "filter"},
	"an operand that is a map":    {`{"meta":"k","op":"eq","value":{}}`, "filter"},
	"a list in a list":            {`{"meta":"k","op":"in","value":[[1]]}`, "filter"},
	"a null in a list":            {`{"meta":"k","op":"in","value":[1,null]}`, "filter"},
	"a number for a type":         {`{"field":"type","op":"eq","value":5}`, "type filter"},
	"a truth value for a stream":  {`{"field":"stream","op":"eq","value":true}`, "stream filter"},
	"text for a version":          {`{"field":"version","op":"eq","value":"5"}`, "version filter"},
	"a fraction for a version":    {`{"field":"version","op":"eq","value":5.0}`, "version filter"},
	"a negative version":          {`{"field":"version","op":"eq","value":-1}`, "version filter"},
	"a version too great":         {`{"field":"version","op":"eq","value":9223372036854775808}`, "version filter"},
	"a truth value for an offset": {`{"field":"position","op":"eq","value":true}`, "position filter"},
	"a time without zone":         {`{"field":"time","op":"eq","value":"2026-01-02T03:04:05"}`, "time filter"},
	"a time as a number":          {`{"field":"time","op":"eq","value":5}`, "time filter"},
	"a time in the year 0":        {`{"field":"time","op":"eq","value":"0000-01-02T03:04:05Z"}`, "time filter"},
	"an id that is none":          {`{"field":"id","op":"eq","value":"s3cr3t"}`, "id filter"},
	"order of ids":                {`{"field":"id","op":"gt","value":"01000000-0000-0000-0000-000000000000"}`, "id filter"},
	"a pattern on an id":          {`{"field":"id","op":"matches","value":"01000000-0000-0000-0000-000000000000"}`, "id filter"},
	"a pattern on a number":       {`{"meta":"k","op":"matches","value":5}`, "metadata filter"},
	"a prefix of a truth value":   {`{"meta":"k","op":"prefix","value":true}`, "metadata filter"},
	"order of truth values":       {`{"meta":"k","op":"lt","value":true}`, "metadata filter"},
	"exists of what always does":  {`{"field":"type","op":"exists"}`, "type filter"},
	"not equal to a tag":          {`{"field":"tag","op":"ne","value":"x"}`, "tag filter"},
	"not in tags":                 {`{"field":"tag","op":"nin","value":["x"]}`, "tag filter"},
	"order of tags":               {`{"field":"tag","op":"gt","value":"x"}`, "tag filter"},
	"kinds mixed":                 {`{"meta":"k","op":"in","value":[1,"s3cr3t"]}`, "metadata filter"},
	"a number without end":        {`{"meta":"k","op":"eq","value":1e999}`, "metadata filter"},
	"NaN":                         {`{"meta":"k","op":"eq","value":NaN}`, "filter"},
	"an empty key":                {`{"meta":"","op":"exists"}`, "metadata key"},
	"NUL in a key":                {`{"meta":"s3cr3t\u0000","op":"exists"}`, "metadata key"},
	"NUL in an operand":           {`{"meta":"k","op":"eq","value":"s3cr3t\u0000"}`, "metadata filter"},
	"half a character":            {`{"meta":"k","op":"eq","value":"s3cr3t \ud800"}`, "filter"},
	"half a character, again":     {`{"meta":"k","op":"eq","value":"\ud800\ud800"}`, "filter"},
	"the other half":              {`{"meta":"k","op":"eq","value":"\\\udc00"}`, "filter"},
	"the halves parted":           {`{"meta":"k","op":"eq","value":"\ud83d \ude00"}`, "filter"},
	"bytes that are not UTF-8":    {"{\"meta\":\"k\",\"op\":\"eq\",\"value\":\"s3cr3t\xff\"}", "filter"},
	"a pattern that is not RE2":   {`{"field":"type","op":"matches","value":"s3cr3t("}`, "type filter"},
	"too deep":                    {strings.Repeat(`{"not":`, filter.MaxDepth) + `{}` + strings.Repeat(`}`, filter.MaxDepth), "filter"},
	"a thousand deep":             {strings.Repeat(`{"and":[`, 1000) + `{}` + strings.Repeat(`]}`, 1000), "filter"},
	"too wide":                    {`{"or":[` + strings.Repeat(`{"meta":"k","op":"exists"},`, filter.MaxLeaves) + `{"meta":"k","op":"exists"}]}`, "filter"},
	"too many operands":           {`{"meta":"k","op":"in","value":[` + strings.Repeat(`1,`, filter.MaxOperands) + `1]}`, "metadata filter"},
	"patterns that explode together": {
		`{"or":[` + strings.Repeat(`{"field":"type","op":"matches","value":"a{1000}"},`, 5) + `{}]}`, "filter",
	},
}

func TestJSONThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range refused {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := filter.Type().Eq("before")
			read := before
			requireInvalid(t, read.UnmarshalJSON([]byte(c.document)), c.field)
			require.Equal(t, before, read, "an error leaves the filter as it was")
		})
	}
}

func TestJSONAtTheLimits(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]filter.Filter{
		"depth": nested(filter.MaxDepth), "leaves": wide(filter.MaxLeaves),
		"operands":                      filter.Version().In(versions(filter.MaxOperands)...),
		"nothing, as deep as it may be": deepNothing(filter.MaxDepth),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			written, err := f.MarshalJSON()
			require.NoError(t, err)
			var read filter.Filter
			require.NoError(t, read.UnmarshalJSON(written))
			require.Equal(t, f, read)
		})
	}
}

func TestJSONNamesWhatStandsTwice(t *testing.T) {
	t.Parallel()
	var read filter.Filter
	require.ErrorContains(t, read.UnmarshalJSON([]byte(`{"meta":"k","op":"exists","op":"exists"}`)), "twice")
}

// Whatever is read is a filter that can be written, read again and used.
func FuzzUnmarshal(f *testing.F) {
	for _, c := range refused {
		if len(c.document) < 300 {
			f.Add([]byte(c.document))
		}
	}
	for _, some := range []filter.Filter{
		{},
		filter.Not(filter.Filter{}), nested(4), wide(5),
		filter.Meta("k").Float().In(1, 0.5).Or(filter.ID().Eq(persistence.EventID{1}), filter.Time().Lt(time.Unix(1, 0))),
		filter.Tag().Prefix("a").And(filter.Not(filter.Category().Regex("^a|b$")), filter.Meta("😀").Eq(persistence.Bool(true))),
	} {
		written, err := some.MarshalJSON()
		require.NoError(f, err)
		f.Add(written)
	}
	events := []*persistence.Recorded{{}, with("k", persistence.Float(1)), with("k", persistence.String("a"))}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read filter.Filter
		if err := read.UnmarshalJSON(data); err != nil {
			var invalid *persistence.InvalidError
			require.ErrorAs(t, err, &invalid)
			return
		}
		require.NoError(t, read.Check())
		written, err := json.Marshal(read)
		require.NoError(t, err)
		var again filter.Filter
		require.NoError(t, json.Unmarshal(written, &again))
		rewritten, err := json.Marshal(again)
		require.NoError(t, err)
		require.Equal(t, string(written), string(rewritten))
		necessary := read.Necessary()
		for _, event := range events {
			require.Equal(t, read.Match(event), again.Match(event))
			require.NotEqual(t, read.Match(event), filter.Not(read).Match(event))
			require.True(t, !read.Match(event) || necessary.Holds(event))
		}
	})
}
