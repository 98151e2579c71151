package journaltest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var spelling = cases{
	"names are bytes and come back unchanged": spellingKept,
	"names that break the rules are refused":  spellingRefused,
}

// spellings are names that a store might read as syntax, fold, trim or normalise.
func spellings() []string {
	names := []string{
		`back\slash`, "dot.dot", "..", "/", "a/b", "../a", "%", "a%", "a_", "a%b", "%s", "'", "a'b", "''", `"`, `a"b`, "$1", "a$", "a;b", "--", "a-b-c",
		"a", "A", "ä", "Ä", "a ", " a", " ", "a  b", "null", "NULL", "0", "00", "1e3", "true", "{}", "[a]", "(a)", "a|b", "a*", "a?", "^a$", "a\u00a0b",
		"\u03a9", "\u2126", "ß", "ẞ", "ss", "ı", "i", "İ", "ﬁ", "fi",
		"e\u0301", "\u00e9", // the same letter, decomposed and composed
		"🗿", "👩‍👩‍👧", "日本語", "עברית", "ไทย", "\ufeffbom", "\ufffd", "\uffff", "\U0010ffff",
		strings.Repeat("n", persistence.MaxStreamName), strings.Repeat("n", persistence.MaxStreamName-1),
		strings.Repeat("🗿", 63) + "abc", strings.Repeat("é", 127) + "x",
	}
	return names
}

func spellingKept(t *testing.T, s suite) {
	j := s.open(t)
	seen := map[string]bool{}
	var appends []persistence.Append
	for _, name := range spellings() {
		require.False(t, seen[name], "%q stands twice in the table", name)
		seen[name] = true
		appends = append(appends, persistence.Append{Stream: persistence.StreamID(name), Events: []persistence.Event{{Type: name}}})
	}

	for i, outcome := range j.tryAll(appends...) {
		require.NoError(t, outcome.Err, "%q", appends[i].Stream)
	}

	for _, a := range appends {
		events := j.events(a.Stream)
		require.Len(t, events, 1, "%q", a.Stream)
		require.Equal(t, a.Stream, events[0].Stream)
		require.Equal(t, string(a.Stream), events[0].Type)
		info, err := j.Stream(j.ctx, a.Stream)
		require.NoError(t, err)
		require.Equal(t, persistence.StreamInfo{Stream: a.Stream, Version: 1, First: 1, Begin: 1}, info)
	}
	all := j.all()
	require.Len(t, all, len(appends))
	for _, recorded := range all {
		require.True(t, seen[string(recorded.Stream)])
		require.Equal(t, string(recorded.Stream), recorded.Type)
	}
}

func spellingRefused(t *testing.T, s suite) {
	j := s.open(t)
	for name, text := range brokenNames() {
		j.refuses(persistence.ErrInvalid, persistence.Append{Stream: persistence.StreamID(text)})
		j.refuses(persistence.ErrInvalid, persistence.Append{Stream: "fine-1", Events: []persistence.Event{{Type: text}}})
		require.Empty(t, j.all(), name)
	}
}

func brokenNames() map[string]string {
	return map[string]string{
		"empty":         "",
		"too long":      strings.Repeat("n", persistence.MaxStreamName+1),
		"too many":      strings.Repeat("🗿", 64),
		"NUL":           "a\x00b",
		"tab":           "a\tb",
		"line feed":     "a\n",
		"escape":        "\x1b[31m",
		"delete":        "a\x7f",
		"C1":            "a\u0085b",
		"not UTF-8":     "a\xffb",
		"cut off":       "a\xe2\x82",
		"a surrogate":   "\xed\xa0\x80",
		"overlong":      "\xc0\xaf",
		"right to left": "a\u202eb",
		"isolate":       "a\u2066b",
	}
}
