package persistence_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func tagged(tags ...string) *persistence.Append {
	return &persistence.Append{Stream: "s-1", Events: []persistence.Event{{Type: "opened", Tags: tags}}}
}

func manyTags(n int) []string {
	tags := make([]string, n)
	for i := range tags {
		tags[i] = fmt.Sprintf("t%d", i)
	}
	return tags
}

func TestTagsWithinTheRulesPass(t *testing.T) {
	t.Parallel()
	for name, tags := range map[string][]string{
		"none":                    nil,
		"as many as there may be": manyTags(persistence.MaxTags),
		"as long as one may be":   {strings.Repeat("x", persistence.MaxTag)},
		"any text, any order":     {"z", "order 7", "größe:é", "'; --", "a"},
		"two forms of one letter": {"\u00e9", "e\u0301"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, tagged(tags...).Check())
		})
	}
}

func TestTagsOutsideTheRulesAreNamed(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		tags  []string
		field string
	}{
		"one too many":      {manyTags(persistence.MaxTags + 1), "tags"},
		"empty":             {[]string{"a", ""}, "tag"},
		"one byte too long": {[]string{strings.Repeat("x", persistence.MaxTag+1)}, "tag"},
		"not UTF-8":         {[]string{"\xff"}, "tag"},
		"a NUL":             {[]string{"a\x00b"}, "tag"},
		"a line break":      {[]string{"a\nb"}, "tag"},
		"twice":             {[]string{"a", "b", "a"}, "tag"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var invalid *persistence.InvalidError
			require.ErrorAs(t, tagged(c.tags...).Check(), &invalid)
			require.Equal(t, c.field, invalid.Field)
		})
	}
}

func TestTagsAreASetOfTheContent(t *testing.T) {
	t.Parallel()
	event := func(tags ...string) *persistence.Event { return &tagged(tags...).Events[0] }

	require.True(t, event("a", "b").SameContent(event("b", "a")))
	require.True(t, event().SameContent(&persistence.Event{Type: "opened", Tags: []string{}}))
	require.False(t, event("a", "b").SameContent(event("a")))
	require.False(t, event("a").SameContent(event("a", "b")))
	require.False(t, event("a", "b").SameContent(event("a", "c")))
}

func TestTagsCountForTheSize(t *testing.T) {
	t.Parallel()
	require.Equal(t, tagged().Size()+5, tagged("abc", "de").Size())
}
