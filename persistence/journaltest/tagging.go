package journaltest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var tagging = cases{
	"tags come back as a set":                          tagsComeBack,
	"tags count as content, and their order does not":  tagsAreContent,
	"tags that break the rules are refused":            tagsRefused,
	"tags that a journal returns belong to the caller": tagsOwned,
}

func tagged(tags ...string) persistence.Event {
	return persistence.Event{Type: "tagged", Payload: []byte("p"), Tags: tags}
}

func tagsComeBack(t *testing.T, s suite) {
	j := s.open(t)
	var most []string
	for i := range persistence.MaxTags {
		most = append(most, fmt.Sprintf("tag %d", i))
	}
	events := []persistence.Event{
		tagged(), tagged("one"), tagged("two", "one"), tagged("b", "a", "c", "B", "A", "a ", " a", "ä", "Ä"),
		tagged("e\u0301", "\u00e9"), tagged("a,b", "a", "b"), tagged(`{a,"b"}`, `\`, `"`, "'", "NULL", "null", "{}", "[]", " "),
		tagged("🗿", "%", "a_b", "$1", "order:7", "a=b"), tagged(most...), tagged(strings.Repeat("t", persistence.MaxTag), strings.Repeat("é", persistence.MaxTag/2)),
	}

	j.store("tagged-1", persistence.NoStream, events...)
	cameBack(j, "tagged-1", events)

	j.store("tagged-2", persistence.NoStream, named(events...)...)
	cameBack(j, "tagged-2", events)
}

func tagsAreContent(t *testing.T, s suite) {
	j := s.open(t)
	first := named(tagged("a", "b", "c"))[0]
	j.store("content-1", persistence.NoStream, first)

	j.unchanged(func() {
		same := first
		same.Tags = []string{"c", "a", "b"}
		require.True(t, j.store("content-1", persistence.NoStream, same).Duplicate)
		for _, tags := range [][]string{nil, {"a", "b"}, {"a", "b", "c", "d"}, {"a", "b", "C"}} {
			other := first
			other.Tags = tags
			require.ErrorIs(t, j.try("content-1", persistence.Any, other).Err, persistence.ErrEventIDReused, "%q", tags)
		}
	})
}

func tagsRefused(t *testing.T, s suite) {
	j := s.open(t)
	var many []string
	for i := range persistence.MaxTags + 1 {
		many = append(many, fmt.Sprint(i))
	}
	for name, tags := range map[string][]string{
		"too many": many, "too long": {strings.Repeat("t", persistence.MaxTag+1)}, "empty": {"a", ""}, "twice": {"a", "b", "a"},
		"NUL": {"a\x00"}, "line feed": {"a\n"}, "not UTF-8": {"\xff"}, "right to left": {"\u202e"},
	} {
		j.refuses(persistence.ErrInvalid, persistence.Append{Stream: "refused-1", Events: []persistence.Event{tagged(tags...)}})
		require.Empty(t, j.all(), name)
	}
}

func tagsOwned(t *testing.T, s suite) {
	j := s.open(t)
	given := tagged("a", "b")
	j.store("owned-1", persistence.NoStream, given)

	given.Tags[0] = "changed by the writer"
	for _, recorded := range append(j.events("owned-1"), j.all()...) {
		require.Len(t, recorded.Tags, 2)
		recorded.Tags[0] = "changed by a reader"
	}

	cameBack(j, "owned-1", []persistence.Event{tagged("a", "b")})
}
