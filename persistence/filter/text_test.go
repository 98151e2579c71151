package filter_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

func TestTextOnMetadata(t *testing.T) {
	t.Parallel()
	text, number, float, truth := persistence.String, persistence.Int, persistence.Float, persistence.Bool
	for name, c := range map[string]struct {
		operator string
		texts    []string
		match    []persistence.Value
		not      []persistence.Value
	}{
		"a word":                      {"=", []string{"acme"}, []persistence.Value{text("acme")}, []persistence.Value{text("Acme"), number(0), truth(true)}},
		"digits":                      {"=", []string{"5"}, []persistence.Value{text("5"), number(5), float(5)}, []persistence.Value{text("5.0"), number(6)}},
		"a fraction":                  {"eq", []string{"5.50"}, []persistence.Value{text("5.50"), float(5.5)}, []persistence.Value{text("5.5"), number(5)}},
		"an exponent":                 {"=", []string{"1e2"}, []persistence.Value{text("1e2"), number(100), float(100)}, []persistence.Value{text("100")}},
		"an exact integer":            {"=", []string{"9007199254740993"}, []persistence.Value{number(1<<53 + 1)}, []persistence.Value{number(1 << 53), float(1 << 53)}},
		"true":                        {"=", []string{"true"}, []persistence.Value{text("true"), truth(true)}, []persistence.Value{truth(false), number(1)}},
		"false":                       {"!=", []string{"false"}, []persistence.Value{text("true"), truth(true)}, []persistence.Value{text("false"), truth(false), number(1)}},
		"truth in capitals":           {"=", []string{"TRUE"}, []persistence.Value{text("TRUE")}, []persistence.Value{truth(true)}},
		"another number":              {"!=", []string{"5"}, []persistence.Value{text("x"), number(6)}, []persistence.Value{text("5"), number(5), float(5), truth(true)}},
		"another word":                {"ne", []string{"x"}, []persistence.Value{text("y")}, []persistence.Value{text("x"), number(5)}},
		"greater":                     {">", []string{"9"}, []persistence.Value{number(10), text("a")}, []persistence.Value{text("10"), number(9), truth(true)}},
		"at least":                    {">=", []string{"9"}, []persistence.Value{number(9), float(9.5), text("9")}, []persistence.Value{number(8)}},
		"less":                        {"<", []string{"9"}, []persistence.Value{number(8), text("10")}, []persistence.Value{number(9)}},
		"at most":                     {"<=", []string{"true"}, []persistence.Value{text("true"), text("a")}, []persistence.Value{truth(true), truth(false)}},
		"in":                          {"in", []string{"a", "5", "true"}, []persistence.Value{text("a"), text("5"), number(5), truth(true), text("true")}, []persistence.Value{text("b"), number(6), truth(false)}},
		"in nothing":                  {"in", nil, nil, []persistence.Value{text(""), number(0), truth(false)}},
		"not in":                      {"nin", []string{"a", "5"}, []persistence.Value{text("b"), number(6)}, []persistence.Value{text("a"), number(5), truth(true)}},
		"not in nothing":              {"nin", nil, []persistence.Value{text("b"), number(6), truth(true)}, nil},
		"prefix":                      {"prefix", []string{"5"}, []persistence.Value{text("55")}, []persistence.Value{number(55), text("65")}},
		"pattern":                     {"matches", []string{"^[0-9]+$"}, []persistence.Value{text("55")}, []persistence.Value{number(55), text("x5")}},
		"exists":                      {"exists", nil, []persistence.Value{text(""), number(0), truth(false)}, nil},
		"empty text":                  {"=", []string{""}, []persistence.Value{text("")}, []persistence.Value{number(0), truth(false)}},
		"no number for JSON":          {"=", []string{"05"}, []persistence.Value{text("05")}, []persistence.Value{number(5)}},
		"a number for C":              {"=", []string{"0x10"}, []persistence.Value{text("0x10")}, []persistence.Value{number(16)}},
		"a number with a blank":       {"=", []string{"5 "}, []persistence.Value{text("5 ")}, []persistence.Value{number(5)}},
		"a number with a sign":        {"=", []string{"+5"}, []persistence.Value{text("+5")}, []persistence.Value{number(5)}},
		"a number too large to be so": {"=", []string{"1e999"}, []persistence.Value{text("1e999")}, []persistence.Value{float(1.7e308)}},
		"infinity":                    {"<", []string{"inf"}, []persistence.Value{text("a")}, []persistence.Value{number(1)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := filter.Text("meta.k", c.operator, c.texts...)
			require.NoError(t, err)
			for _, v := range c.match {
				require.True(t, f.Match(with("k", v)), "%q", v.Text())
			}
			for _, v := range c.not {
				require.False(t, f.Match(with("k", v)), "%q", v.Text())
			}
			require.False(t, f.Match(with("j", text("a"))), "a missing key")
		})
	}
}

func TestTextOnFields(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, operator string
		texts           []string
		want            filter.Filter
	}{
		"type":               {"type", "=", []string{"5"}, filter.Type().Eq("5")},
		"types":              {"type", "in", []string{"b", "a"}, filter.Type().In("a", "b")},
		"stream":             {"stream", "prefix", []string{"account-"}, filter.Stream().Prefix("account-")},
		"category":           {"category", "!=", []string{"account"}, filter.Category().Ne("account")},
		"has a category":     {"category", "exists", nil, filter.Category().Exists()},
		"tag":                {"tag", "=", []string{"order 7"}, filter.Tag().Eq("order 7")},
		"tag by pattern":     {"tag", "matches", []string{"^o"}, filter.Tag().Regex("^o")},
		"version":            {"version", ">=", []string{"10"}, filter.Version().Ge(10)},
		"versions":           {"version", "nin", []string{"10", "7"}, filter.Version().NotIn(7, 10)},
		"position":           {"position", "<", []string{"9223372036854775807"}, filter.Offset().Lt(9223372036854775807)},
		"id":                 {"id", "=", []string{"01000000-0000-0000-0000-000000000000"}, filter.ID().Eq(persistence.EventID{1})},
		"time":               {"time", ">", []string{"2026-01-02T03:04:05.5+01:00"}, filter.Time().Gt(time.Date(2026, 1, 2, 2, 4, 5, 500_000_000, time.UTC))},
		"key with dots":      {"meta.a.b", "exists", nil, filter.Meta("a.b").Exists()},
		"key like a field":   {"meta.type", "prefix", []string{"x"}, filter.Meta("type").Text().Prefix("x")},
		"key like a command": {"meta.'; DROP TABLE event; --", "exists", nil, filter.Meta("'; DROP TABLE event; --").Exists()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := filter.Text(c.field, c.operator, c.texts...)
			require.NoError(t, err)
			require.Equal(t, c.want, got)
		})
	}
}

func TestTextThatIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		field, operator string
		texts           []string
		wrong           string
	}{
		"unknown field":         {secret, "=", []string{"x"}, "filter"},
		"field in capitals":     {"Type", "=", []string{"x"}, "filter"},
		"metadata without key":  {"meta", "=", []string{"x"}, "filter"},
		"metadata, key empty":   {"meta.", "=", []string{"x"}, "metadata key"},
		"key with NUL":          {"meta." + secret + "\x00", "=", []string{"x"}, "metadata key"},
		"unknown operator":      {"type", secret, []string{"x"}, "type filter"},
		"empty operator":        {"type", "", []string{"x"}, "type filter"},
		"no text":               {"type", "=", nil, "type filter"},
		"two texts":             {"meta.k", "=", []string{"x", secret}, "metadata filter"},
		"a text too much":       {"meta.k", "exists", []string{"x"}, "metadata filter"},
		"too many texts":        {"meta.k", "in", strings.Split(strings.Repeat(secret+",", filter.MaxOperands), ","), "metadata filter"},
		"text that is not UTF8": {"meta.k", "=", []string{secret + "\xff"}, "metadata filter"},
		"pattern":               {"meta.k", "matches", []string{secret + "["}, "metadata filter"},
		"version as a word":     {"version", "=", []string{secret}, "version filter"},
		"version as a C number": {"version", "=", []string{"0x10"}, "version filter"},
		"version with a sign":   {"version", "=", []string{"+1"}, "version filter"},
		"version as a fraction": {"version", "=", []string{"1.0"}, "version filter"},
		"negative position":     {"position", ">", []string{"-1"}, "position filter"},
		"empty version":         {"version", "=", []string{""}, "version filter"},
		"version by prefix":     {"version", "prefix", []string{"1"}, "version filter"},
		"version too great":     {"version", "=", []string{"9223372036854775808"}, "version filter"},
		"id":                    {"id", "=", []string{secret}, "id filter"},
		"id by prefix":          {"id", "prefix", []string{"01000000-0000-0000-0000-000000000000"}, "id filter"},
		"time without zone":     {"time", "<", []string{"2026-01-02T03:04:05"}, "time filter"},
		"a day":                 {"time", "<", []string{"2026-01-02"}, "time filter"},
		"the year 0":            {"time", "<", []string{"0000-01-02T03:04:05Z"}, "time filter"},
		"other than a tag":      {"tag", "!=", []string{"x"}, "tag filter"},
		"exists of a type":      {"type", "exists", nil, "type filter"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, err := filter.Text(c.field, c.operator, c.texts...)
			requireInvalid(t, err, c.wrong)
			require.Equal(t, filter.Filter{}, f)
		})
	}
}

// Whatever is accepted can be written, and chooses no event that lacks the field.
func FuzzText(f *testing.F) {
	for _, field := range []string{"id", "type", "time", "version", "position", "stream", "category", "tag", "meta.k", "meta.", "x"} {
		f.Add(field, "=", "5")
		f.Add(field, "matches", "^a(b|c)*$")
	}
	f.Add("time", "<", "2026-01-02T03:04:05.5+01:00")
	f.Add("id", "!=", "01000000-0000-0000-0000-000000000000")
	f.Add("meta.' OR 1=1 --", "in", "1e999")
	f.Add("meta.k", ">=", "9007199254740993")
	f.Fuzz(func(t *testing.T, field, operator, text string) {
		read, err := filter.Text(field, operator, text)
		if err != nil {
			var invalid *persistence.InvalidError
			require.ErrorAs(t, err, &invalid)
			return
		}
		written, err := read.MarshalJSON()
		require.NoError(t, err)
		var again filter.Filter
		require.NoError(t, again.UnmarshalJSON(written))
		require.Equal(t, read.String(), again.String())
		if strings.HasPrefix(field, "meta.") {
			require.False(t, read.Match(&persistence.Recorded{}))
			require.NoError(t, read.CheckMetadata())
		}
		event := with(strings.TrimPrefix(field, "meta."), persistence.String(text))
		require.Equal(t, read.Match(event), again.Match(event))
	})
}
