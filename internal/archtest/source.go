package archtest

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Violation is one place that breaks one rule.
type Violation struct {
	File string // the path from the module's root
	Line int    // counts from 1
	// Message says what is wrong and what would be right.
	Message string
}

// String prints a violation as compilers do.
func (v Violation) String() string { return fmt.Sprintf("%s:%d: %s", v.File, v.Line, v.Message) }

// Check returns the violations in the module whose root is fsys, in the order of
// their places. Folders named testdata, hidden folders and modules inside the
// module are left out. The error is set when a file cannot be read or parsed.
func Check(fsys fs.FS, rules Rules) ([]Violation, error) {
	m, err := load(fsys)
	if err != nil {
		return nil, err
	}
	c := &checker{module: m, rules: rules, declared: map[*folder]map[string]bool{}}
	for _, p := range m.packages {
		c.imports(p)
		c.surface(p)
		checkComments(c, p)
		checkLinks(c, p)
		checkEnglish(c, p)
		checkInits(c, p)
	}
	slices.SortFunc(c.found, func(a, b Violation) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(c.found), nil
}

type checker struct {
	module   *module
	rules    Rules
	found    []Violation
	declared map[*folder]map[string]bool // see symbolsOf
}

func (c *checker) report(at token.Pos, format string, values ...any) {
	place := c.module.fset.Position(at)
	c.found = append(c.found, Violation{File: place.Filename, Line: place.Line, Message: fmt.Sprintf(format, values...)})
}

// module is a parsed source tree.
type module struct {
	path     string
	fset     *token.FileSet
	packages []*folder
}

// folder is the Go files of one directory: the package and its tests.
type folder struct {
	path  string // from the module's root, "" for the root itself
	files []*file
}

type file struct {
	*ast.File
	test      bool
	generated bool
}

// sources are the files that make up the package as its importers see it.
func (f *folder) sources() []*file {
	return slices.DeleteFunc(slices.Clone(f.files), func(f *file) bool { return f.test })
}

// internal reports whether only this module can import the package.
func (f *folder) internal() bool { return slices.Contains(strings.Split(f.path, "/"), "internal") }

func load(fsys fs.FS) (*module, error) {
	path, err := modulePath(fsys)
	if err != nil {
		return nil, err
	}
	m := &module{path: path, fset: token.NewFileSet()}
	err = fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		if skipped(fsys, name) {
			return fs.SkipDir
		}
		return m.parse(fsys, name)
	})
	if err == nil && len(m.packages) == 0 {
		err = errors.New("find Go files: there are none")
	}
	return m, err
}

func modulePath(fsys fs.FS) (string, error) {
	data, err := fs.ReadFile(fsys, "go.mod")
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	for lines := bufio.NewScanner(bytes.NewReader(data)); lines.Scan(); {
		if name, found := strings.CutPrefix(lines.Text(), "module "); found {
			return strings.TrimSpace(name), nil
		}
	}
	return "", errors.New("find the module: go.mod has no module line")
}

func skipped(fsys fs.FS, name string) bool {
	if name == "." {
		return false
	}
	base := path.Base(name)
	if base == "testdata" || base == "vendor" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") {
		return true
	}
	_, err := fs.Stat(fsys, path.Join(name, "go.mod"))
	return err == nil
}

func (m *module) parse(fsys fs.FS, name string) error {
	names, err := fs.Glob(fsys, path.Join(name, "*.go"))
	if err != nil || len(names) == 0 {
		return err
	}
	parsed := &folder{path: strings.TrimPrefix(name, ".")}
	for _, name := range names {
		data, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		syntax, err := parser.ParseFile(m.fset, name, data, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return fmt.Errorf("parse: %w", err)
		}
		parsed.files = append(parsed.files, &file{
			File: syntax, test: strings.HasSuffix(name, "_test.go"), generated: ast.IsGenerated(syntax),
		})
	}
	m.packages = append(m.packages, parsed)
	return nil
}

// importPath is the path between the quotes.
func importPath(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil { // cannot happen: the parser accepted the literal
		return spec.Path.Value
	}
	return name
}

// within reports whether a slash-separated name lies in a folder or is it.
func within(name, folder string) bool {
	return name == folder || strings.HasPrefix(name, folder+"/")
}
