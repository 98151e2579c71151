package persistence_test

import (
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// badTexts break the rules of every name.
var badTexts = map[string]string{
	"empty":                       "",
	"NUL":                         "a\x00b",
	"line break":                  "a\nb",
	"escape":                      "a\x1bb",
	"DEL":                         "a\x7fb",
	"control character above DEL": "a\u0085b",
	"invalid UTF-8":               "a\xffb",
	"half a character":            "a\xc3",
	"a surrogate in UTF-8":        "a\xed\xa0\x80",
	"right-to-left override":      "a\u202eb",
	"left-to-right embedding":     "a\u202ab",
	"isolate":                     "a\u2066b",
	"end of isolate":              "a\u2069b",
}

// goodTexts look odd and are names like any other.
var goodTexts = map[string]string{
	"one letter":     "a",
	"digits":         "42",
	"a path":         "../../etc/passwd",
	"percent":        "%2e%2e",
	"SQL":            "' OR 1=1; --",
	"LIKE":           "100%_\\",
	"quotes":         "\"'`",
	"a dash first":   "-x",
	"spaces":         " a b ",
	"emoji":          "🗿",
	"NFC":            "\u00e9",
	"NFD":            "e\u0301",
	"dollar inside":  "a$b",
	"replacement":    "\ufffd",
	"right to left":  "אב",
	"separator":      "a\u2028b",
	"zero width":     "a\u200bb",
	"a private rune": "\U0010fffd",
}

func invalid(t *testing.T, err error, field string) {
	t.Helper()
	require.ErrorIs(t, err, persistence.ErrInvalid)
	found, ok := errors.AsType[*persistence.InvalidError](err)
	require.True(t, ok)
	require.Equal(t, field, found.Field)
}

func TestIDs(t *testing.T) {
	t.Parallel()
	for name, text := range badTexts {
		t.Run(name+" is refused", func(t *testing.T) {
			t.Parallel()
			invalid(t, persistence.CheckID(text), "id")
			invalid(t, persistence.StreamID(text).Check(), "stream")
			_, err := persistence.NewStreamID("account", text)
			invalid(t, err, "id")
		})
	}
	for name, text := range goodTexts {
		t.Run(name+" is accepted", func(t *testing.T) {
			t.Parallel()
			require.NoError(t, persistence.CheckID(text))
			require.NoError(t, persistence.StreamID(text).Check())
			stream, err := persistence.NewStreamID("account", text)
			require.NoError(t, err)
			require.Equal(t, persistence.StreamID("account-"+text), stream)
			require.Equal(t, "account", stream.Category())
		})
	}
	t.Run("lengths count in bytes", func(t *testing.T) {
		t.Parallel()
		require.NoError(t, persistence.CheckID(strings.Repeat("é", persistence.MaxID/2)))
		invalid(t, persistence.CheckID(strings.Repeat("é", persistence.MaxID/2)+"x"), "id")
		require.NoError(t, persistence.StreamID(strings.Repeat("x", persistence.MaxStreamName)).Check())
		invalid(t, persistence.StreamID(strings.Repeat("x", persistence.MaxStreamName+1)).Check(), "stream")
	})
	t.Run("kind and id must fit into a stream's name together", func(t *testing.T) {
		t.Parallel()
		kind := strings.Repeat("k", persistence.MaxKind)
		stream, err := persistence.NewStreamID(kind, strings.Repeat("i", 190))
		require.NoError(t, err)
		require.NoError(t, stream.Check())
		_, err = persistence.NewStreamID(kind, strings.Repeat("i", 191))
		invalid(t, err, "stream")
	})
	t.Run("a dollar belongs to the system", func(t *testing.T) {
		t.Parallel()
		invalid(t, persistence.StreamID("$timers").Check(), "stream")
		require.NoError(t, persistence.CheckID("$x"), "an id is not the beginning of a name")
	})
}

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []string{"a", "account", "bank.v1.account", "a_b", "a0", strings.Repeat("k", persistence.MaxKind)} {
		require.NoError(t, persistence.CheckKind(kind), kind)
	}
	for _, kind := range []string{
		"", "A", "aB", "0a", "_a", ".a", "a-b", "-", "$a", "a b", "é", "aé", "a\x00", "a/b", strings.Repeat("k", persistence.MaxKind+1),
	} {
		invalid(t, persistence.CheckKind(kind), "kind")
		_, err := persistence.NewStreamID(kind, "1")
		invalid(t, err, "kind")
	}
}

func TestCategory(t *testing.T) {
	t.Parallel()
	for stream, category := range map[persistence.StreamID]string{
		"account-ann":    "account",
		"user-profile-7": "user",
		"x-":             "x",
		"-x":             "",
		"plain":          "",
		"":               "",
		"-":              "",
		"--x":            "",
		"é-1":            "é",
	} {
		require.Equal(t, category, stream.Category(), stream)
	}
}

func FuzzStreamNames(f *testing.F) {
	for _, text := range badTexts {
		f.Add("account", text)
	}
	for _, text := range goodTexts {
		f.Add("account", text)
	}
	f.Add("a-b", "c")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, kind, id string) {
		stream, err := persistence.NewStreamID(kind, id)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.Empty(t, stream)
			if len(id) > 4 { // shorter ones are in every sentence
				require.NotContains(t, err.Error(), id, "what is invalid may be personal")
			}
			return
		}
		require.Equal(t, kind, stream.Category())
		require.Equal(t, kind+"-"+id, string(stream), "nothing is normalised")
		require.True(t, utf8.ValidString(string(stream)))
		for _, r := range string(stream) {
			require.False(t, unicode.IsControl(r))
		}
		require.NoError(t, stream.Check())
	})
}
