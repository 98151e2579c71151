package pgtest

import (
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Each setting that a user can set, or that an operator can set for a user, has been
// judged. A new release of the server has new ones: put them where they belong.
func TestEverySettingIsJudged(t *testing.T) {
	t.Parallel()
	var patterns []string
	for _, names := range harmless {
		patterns = append(patterns, strings.Fields(names)...)
	}
	for name := range settings(t, Database(t)) {
		judged := slices.ContainsFunc(patterns, func(pattern string) bool {
			matched, err := path.Match(pattern, name)
			return err == nil && matched
		})
		_, hostile := HostileSettings[name]
		require.True(t, judged || hostile, "is %s hostile or harmless?", name)
	}
}
