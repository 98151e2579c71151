package main

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runGit runs git as nobody in particular, so that no setting of the person who
// runs the tests matters.
func runGit(t testing.TB, dir string, stdin []byte, arguments ...string) string {
	t.Helper()
	git := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir}, arguments...)...)
	git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1", "LC_ALL=C")
	git.Stdin = bytes.NewReader(stdin)
	var complaint strings.Builder
	git.Stderr = &complaint
	output, err := git.Output()
	require.NoError(t, err, "git %s: %s", strings.Join(arguments, " "), complaint.String())
	return string(output)
}

// newRepository makes an empty repository on branch main.
func newRepository(t testing.TB, arguments ...string) string {
	t.Helper()
	dir := t.TempDir()
	runGit(t, dir, nil, append([]string{"init", "--quiet", "--initial-branch=main"}, arguments...)...)
	return dir
}

// script is input for git fast-import, which takes names that no file system of
// a test machine may know, and any number of commits in one process.
type script struct {
	bytes.Buffer
	commits int
}

// edit is one file of a commit; without a mode it is a deletion.
type edit struct {
	path    string
	mode    int
	content string
}

func file(path, content string) edit { return edit{path, 0o100644, content} }
func deleted(path string) edit       { return edit{path: path} }

// commit adds a commit to a branch and returns its mark.
func (s *script) commit(branch string, edits ...edit) string {
	return s.merge(branch, "", edits...)
}

// merge is commit with a second parent; fast-import takes all differences to the
// first parent from the edits.
func (s *script) merge(branch, other string, edits ...edit) string {
	s.commits++
	mark := fmt.Sprintf(":%d", s.commits)
	person := fmt.Sprintf("Ann \xc3\x84hre <ann@example.org> %d +0130", 1_700_000_000-s.commits) // dates run backward
	fmt.Fprintf(s, "commit refs/heads/%s\nmark %s\nauthor %s\ncommitter %s\n", branch, mark, person, person)
	s.data("commit " + mark + "\n\n:100644 looks like a change\n")
	if other != "" {
		fmt.Fprintf(s, "merge %s\n", other)
	}
	for _, e := range edits {
		switch e.mode {
		case 0:
			fmt.Fprintf(s, "D %s\n", quote(e.path))
		case submodule:
			fmt.Fprintf(s, "M %o %s %s\n", e.mode, e.content, quote(e.path))
		default:
			fmt.Fprintf(s, "M %o inline %s\n", e.mode, quote(e.path))
			s.data(e.content)
		}
	}
	return mark
}

// branch starts a branch at a mark or at what a ref points to.
func (s *script) branch(name, at string) {
	fmt.Fprintf(s, "reset refs/heads/%s\nfrom %s\n\n", name, at)
}

func (s *script) data(text string) { fmt.Fprintf(s, "data %d\n%s\n", len(text), text) }

// runIn lets git take the script.
func (s *script) runIn(t testing.TB, dir string) {
	t.Helper()
	runGit(t, dir, s.Bytes(), "fast-import", "--quiet", "--force")
}

var longPath = strings.Repeat("a long directory/", 20) + "ende \xff"

// oddNames are paths that are legal in git and a trap for whoever prints,
// escapes or splits them.
var oddNames = []string{
	" ", "a b", " leading", "trailing ", "tab\there", "line\nbreak", "\nfirst", "cr\r", `quote"d`, `back\slash`,
	"percent%41", "%25", "%", "A", "latin1-\xe4", "half-\xe2\x82", "\xff\xfe", "sn\u00f6wman-\u2603", "nfc-\u00e9", "nfc-e\u0301",
	"rtl-\u202e", "isolate-\u2066", "bell\a", "delete\x7f", "c1-\u0085", ":colon", "-dash", "--", "~", "#",
	"sp ace/and\ttab/\xc3\x28", "%sha256-" + strings.Repeat("0", 64), longPath, longPath + "2",
}

// oddRepository holds everything that a history may do to a path.
func oddRepository(t testing.TB, arguments ...string) string {
	t.Helper()
	dir := newRepository(t, arguments...)
	module := strings.Repeat("1234567890abcdef", 4)[:len(runGit(t, dir, []byte("x"), "hash-object", "--stdin"))-1]
	s := new(script)
	s.commit("main") // an empty root

	var odd []edit
	for i, name := range oddNames {
		odd = append(odd, file(name, fmt.Sprint(i)))
	}
	s.commit("main", odd...)
	s.commit("main")
	s.commit("main", file("mode", "#!"), file("type", "target"), file("binary", "\x00\x01\xff\x00"), file("empty", ""), file("same", "12"))
	s.commit("main", edit{"mode", 0o100755, "#!"}, edit{"type", 0o120000, "target"}, edit{"module", submodule, module})
	s.commit("main", edit{"module", submodule, strings.Repeat("f", len(module))}, edit{"type", submodule, module})
	base := s.commit("main", deleted("same"), deleted("line\nbreak"), deleted("type"), file("type/is/a/directory", ""), deleted(longPath))

	s.branch("side", base)
	s.commit("side", file("side", "only here"), file("mode", "changed beside"))
	side := s.commit("side", file("line\nbreak", "again"), deleted("empty"))
	s.commit("main", file("same", "again"), file(longPath, "again"))
	s.commit("main", file("renamed", "#!"), deleted("binary"), file("moved/binary", "\x00\x01\xff\x00"))
	s.merge("main", side, file("side", "only here"), file("line\nbreak", "again"), deleted("empty"), file("evil", "in neither parent"))
	s.branch("other", base)
	other := s.commit("other", file("unseen", "kept out"))
	s.merge("main", other) // "merge -s ours": nothing changes
	s.commit("main", deleted("type/is/a/directory"), file("type", "a file again"), deleted("module"), file("module/now/a/file", ""))
	s.runIn(t, dir)
	return dir
}

// randomRepository has as many commits on main, with merges in between. There
// are few paths, so that files, links, submodules and directories replace each
// other often.
func randomRepository(t testing.TB, seed uint64, commits int) string {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	pick := func(of ...string) string { return of[random.IntN(len(of))] }
	edits := func() []edit {
		var all []edit
		for range random.IntN(6) {
			path := pick("a", "b", "c", "d\xff", "e e")
			for random.IntN(2) == 0 {
				path += "/" + pick("a", "b", "c")
			}
			switch random.IntN(10) {
			case 0, 1, 2:
				all = append(all, deleted(path))
			case 3:
				all = append(all, edit{path, submodule, strings.Repeat(pick("1", "2"), 40)})
			case 4:
				all = append(all, edit{path, 0o120000, pick("a", "b")})
			case 5:
				all = append(all, edit{path, 0o100755, pick("", "x")})
			default:
				all = append(all, file(path, pick("", "x", "y", "z")))
			}
		}
		return all
	}
	s := new(script)
	marks := []string{s.commit("main", edits()...)}
	for range commits - 1 {
		if random.IntN(4) == 0 {
			s.branch("side", pick(marks...))
			marks = append(marks, s.merge("main", s.commit("side", edits()...), edits()...))
			continue
		}
		marks = append(marks, s.commit("main", edits()...))
	}
	dir := newRepository(t)
	s.runIn(t, dir)
	return dir
}
