package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// Entry is what a tree says of one path. The zero Entry says that there is
// nothing.
type Entry struct {
	// Mode is that of git: 100644 and 100755 for files, 120000 for symbolic links,
	// 160000 for submodules, all octal.
	Mode uint32
	// Object is the hash of the content; for a submodule that of its commit.
	Object string
}

// Tree holds the entry of every path, like "git ls-tree -r".
type Tree map[string]Entry

const submodule = 0o160000

// Line prints an entry as git does, without the line feed.
func (e Entry) Line(path string) string {
	kind := "blob"
	if e.Mode == submodule {
		kind = "commit"
	}
	return fmt.Sprintf("%06o %s %s\t%s", e.Mode, kind, e.Object, quote(path))
}

// Print writes the tree in the format and order of "git ls-tree -r".
func (t Tree) Print(w io.Writer) error {
	out := bufio.NewWriter(w)
	for _, path := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintln(out, t[path].Line(path))
	}
	return out.Flush()
}

// Differences lists what want has and t has not, behind "-", and the reverse,
// behind "+".
func (t Tree) Differences(want Tree) []string {
	var lines []string
	paths := maps.Clone(want)
	maps.Copy(paths, t)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		if t[path] == want[path] {
			continue
		}
		if entry, ok := want[path]; ok {
			lines = append(lines, "-"+entry.Line(path))
		}
		if entry, ok := t[path]; ok {
			lines = append(lines, "+"+entry.Line(path))
		}
	}
	return lines
}

// escapes are the bytes that git writes with a letter.
var escapes = map[byte]string{
	'\a': `\a`, '\b': `\b`, '\t': `\t`, '\n': `\n`, '\v': `\v`, '\f': `\f`, '\r': `\r`, '"': `\"`, '\\': `\\`,
}

// quote writes a path like git with its default core.quotePath: bytes that are
// not printable ASCII are octal, and then the whole stands in quotes.
func quote(path string) string {
	var quoted strings.Builder
	for _, c := range []byte(path) {
		switch escape, ok := escapes[c]; {
		case ok:
			quoted.WriteString(escape)
		case c < ' ' || c >= 0x7f:
			fmt.Fprintf(&quoted, `\%03o`, c)
		default:
			quoted.WriteByte(c)
		}
	}
	if quoted.Len() == len(path) {
		return path
	}
	return `"` + quoted.String() + `"`
}
