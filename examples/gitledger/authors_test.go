package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAuthors compares the projection with what git log says, whose commits and
// changes git itself counts.
func TestAuthors(t *testing.T) {
	t.Parallel()
	for name, dir := range map[string]string{
		"a random history": randomRepository(t, 7, 300), "an odd history": oddRepository(t),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := inSQLite(t)
			require.Zero(t, l.run(t, dir).status)

			r := l.run(t, "--authors", dir)

			require.Zero(t, r.status, r.screen)
			require.Equal(t, authorsOf(t, dir), r.out)
		})
	}
}

func authorsOf(t *testing.T, dir string) string {
	t.Helper()
	log := runGit(t, dir, nil, "-c", "log.showSignature=false", "log", "--first-parent", "-m", "--root", "--no-renames", "--raw", "-z",
		"--ignore-submodules=none", "--encoding=UTF-8", "--format=tformat:%x01%aI %an <%ae>")
	lines, header, isPath := map[string]int{}, "", false
	for field := range strings.SplitSeq(log, "\x00") {
		field = strings.TrimPrefix(field, "\n")
		switch {
		case isPath:
			isPath = false
		case strings.HasPrefix(field, "\x01"):
			header = field[1:]
		case strings.HasPrefix(field, ":"):
			isPath = true // the next one, which may begin with anything
			moment, author, _ := strings.Cut(header, " ")
			lines[moment[:min(7, len(moment))]+"\x00"+strings.ToValidUTF8(author, "\uFFFD")]++
		}
	}
	var all []string
	for key := range lines {
		all = append(all, key)
	}
	slices.Sort(all)
	var out strings.Builder
	for _, key := range all {
		month, author, _ := strings.Cut(key, "\x00")
		fmt.Fprintf(&out, "%s\t%d\t%s\n", month, lines[key], author)
	}
	return out.String()
}
