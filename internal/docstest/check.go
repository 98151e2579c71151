package docstest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
)

// MaxReadmeLines is the highest number of lines of the module's README.
const MaxReadmeLines = 250

// Problem is one place in a document that is not true.
type Problem struct {
	File string // the path from the module's root
	Line int    // counts from 1
	// Message says what is wrong.
	Message string
}

// String prints a problem as compilers do.
func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message) }

// Check returns the problems in the Markdown files below the root of fsys, in
// the order of their places. Hidden folders, testdata and modules inside the
// module are left out.
func Check(fsys fs.FS) ([]Problem, error) {
	c := &checker{fsys: fsys, documents: map[string]*document{}}
	if err := fs.WalkDir(fsys, ".", c.collect); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(c.documents)) {
		c.check(c.documents[name])
	}
	return c.problems, nil
}

type checker struct {
	fsys      fs.FS
	documents map[string]*document
	sources   []source
	targets   map[string]bool // of the Makefile
	problems  []Problem
}

// source is a Go file that the compiler sees, without indentation, so that a
// part of a function can be quoted.
type source struct{ lines []string }

func (c *checker) collect(name string, entry fs.DirEntry, err error) error {
	if err != nil {
		return err
	}
	if entry.IsDir() {
		if c.skipped(name) {
			return fs.SkipDir
		}
		return nil
	}
	switch {
	case path.Ext(name) == ".md":
		return c.read(name, func(text string) { c.documents[name] = parse(name, text) })
	case path.Ext(name) == ".go":
		return c.read(name, func(text string) { c.sources = append(c.sources, source{trimmed(strings.Split(text, "\n"))}) })
	case name == "Makefile":
		return c.read(name, func(text string) { c.targets = makeTargets(text) })
	}
	return nil
}

func (c *checker) read(name string, use func(text string)) error {
	data, err := fs.ReadFile(c.fsys, name)
	if err == nil {
		use(string(data))
	}
	return err
}

func (c *checker) skipped(name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || base == "testdata" || base == "node_modules" {
		return true
	}
	_, err := fs.Stat(c.fsys, path.Join(name, "go.mod"))
	return err == nil
}

func (c *checker) check(d *document) {
	if d.name == "README.md" && d.lines > MaxReadmeLines {
		c.report(d, MaxReadmeLines+1, "%d lines, at most %d", d.lines, MaxReadmeLines)
	}
	for _, link := range d.links {
		c.link(d, link)
	}
	for _, place := range d.places {
		c.place(d, place)
	}
	for _, folder := range d.folders {
		if info, err := fs.Stat(c.fsys, path.Clean(folder.target)); err != nil || !info.IsDir() {
			c.report(d, folder.line, "%s: there is no such folder", folder.target)
		}
	}
	for _, block := range d.blocks {
		switch block.language {
		case "go":
			c.code(d, block)
		case "sh", "":
			c.commands(d, block)
		}
	}
}

func (c *checker) report(d *document, line int, format string, values ...any) {
	c.problems = append(c.problems, Problem{File: d.name, Line: line, Message: fmt.Sprintf(format, values...)})
}

func (c *checker) link(d *document, l link) {
	if strings.Contains(l.target, "://") || strings.HasPrefix(l.target, "mailto:") {
		return
	}
	file, anchor, _ := strings.Cut(l.target, "#")
	name := d.name
	if file != "" {
		name = path.Join(path.Dir(d.name), file)
		if _, err := fs.Stat(c.fsys, name); err != nil {
			c.report(d, l.line, "link to %s: there is no such file", l.target)
			return
		}
	}
	if target := c.documents[name]; anchor != "" && target != nil && !target.anchors[anchor] {
		c.report(d, l.line, "link to %s: there is no such heading", l.target)
	}
}

// place looks for a file, and in it for the function, or for the method as Type.Method,
// that it has to declare.
func (c *checker) place(d *document, p place) {
	data, err := fs.ReadFile(c.fsys, p.file)
	if err != nil {
		c.report(d, p.line, "%s: there is no such file", p.file)
		return
	}
	if p.function == "" {
		return
	}
	syntax, err := parser.ParseFile(token.NewFileSet(), p.file, data, parser.SkipObjectResolution)
	if err != nil {
		c.report(d, p.line, "%s:%s: %v", p.file, p.function, err)
		return
	}
	for _, declaration := range syntax.Decls {
		if function, is := declaration.(*ast.FuncDecl); is && nameOf(function) == p.function {
			return
		}
	}
	c.report(d, p.line, "%s:%s: the file declares no such function", p.file, p.function)
}

func nameOf(function *ast.FuncDecl) string {
	if function.Recv == nil {
		return function.Name.Name
	}
	of := function.Recv.List[0].Type
	for {
		switch t := of.(type) {
		case *ast.StarExpr:
			of = t.X
		case *ast.IndexExpr:
			of = t.X
		case *ast.IndexListExpr:
			of = t.X
		case *ast.Ident:
			return t.Name + "." + function.Name.Name
		default:
			return function.Name.Name
		}
	}
}

// code looks for a block in one compiled file, line by line without indentation.
// A line that is only "…" stands for whatever is left out.
func (c *checker) code(d *document, b block) {
	parts := split(trimmed(b.lines))
	for _, source := range c.sources {
		if source.holds(parts) {
			return
		}
	}
	c.report(d, b.line, "this Go code stands in no compiled file")
}

func (s source) holds(parts [][]string) bool {
	rest := s.lines
	for _, part := range parts {
		at := index(rest, part)
		if at < 0 {
			return false
		}
		rest = rest[at+len(part):]
	}
	return true
}

func index(lines, part []string) int {
	for at := 0; at+len(part) <= len(lines); at++ {
		if slices.Equal(lines[at:at+len(part)], part) {
			return at
		}
	}
	return -1
}

func split(lines []string) [][]string {
	var parts [][]string
	for {
		at := slices.Index(lines, "…")
		if at < 0 {
			return append(parts, trimEmpty(lines))
		}
		parts, lines = append(parts, trimEmpty(lines[:at])), lines[at+1:]
	}
}

func trimEmpty(lines []string) []string {
	for len(lines) > 0 && lines[0] == "" {
		lines = lines[1:]
	}
	for len(lines) > 0 && lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func trimmed(lines []string) []string {
	out := make([]string, len(lines))
	for i, line := range lines {
		out[i] = strings.TrimSpace(line)
	}
	return out
}

// commands checks the two forms that the documents use: go run of a folder of
// ours, and make.
func (c *checker) commands(d *document, b block) {
	for i, line := range b.lines {
		line, _, _ = strings.Cut(line, "#")
		words := strings.Fields(line)
		switch {
		case len(words) > 2 && words[0] == "go" && words[1] == "run":
			c.program(d, b.line+1+i, words[2:])
		case len(words) > 1 && words[0] == "make":
			c.make(d, b.line+1+i, words[1:])
		}
	}
}

func (c *checker) program(d *document, line int, words []string) {
	for _, word := range words {
		if !strings.HasPrefix(word, "./") {
			continue
		}
		files, err := fs.Glob(c.fsys, path.Join(word, "*.go"))
		if err != nil || len(files) == 0 {
			c.report(d, line, "go run %s: there is no such program", word)
		}
		return
	}
}

func (c *checker) make(d *document, line int, words []string) {
	for _, word := range words {
		if !strings.Contains(word, "=") && !strings.HasPrefix(word, "'") && !c.targets[word] {
			c.report(d, line, "make %s: there is no such target", word)
		}
		if strings.Contains(word, "=") {
			return // what follows may be the rest of a quoted value
		}
	}
}
