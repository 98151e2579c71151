package pattern_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/internal/pattern"
)

func TestCompile(t *testing.T) {
	t.Parallel()
	for text, c := range map[string]struct {
		compiled, ok bool
	}{
		"":                      {true, true},
		"^user-[0-9]+$":         {true, true},
		"(?:abc){1000}x":        {true, true},
		"(":                     {false, false},
		`(a)\1`:                 {false, false},
		"\xff":                  {false, false},
		"(a{100}){100}":         {false, false}, // beyond what RE2 repeats
		"(?:aaaa){0,1000}aaaaa": {false, true},
		"(" + strings.Repeat("a", 1000) + "){1000}": {false, true},
	} {
		regex, steps, ok := pattern.Compile(text)

		require.Equal(t, c.ok, ok, text)
		require.Equal(t, c.compiled, regex != nil, text)
		require.Equal(t, ok && !c.compiled, steps > pattern.MaxSteps, text)
	}
}
