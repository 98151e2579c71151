package archtest

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/scanner"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// Bounds of what a reader can hold in mind at once. See [Measures.Over].
const (
	maxComplexity = 15
	maxLines      = 40
	maxMethodIn   = 4 // files
)

// Measures say how large and how entangled the packages of a module are. Tests and
// generated code do not count.
type Measures struct {
	Packages  []PackageMeasures
	Functions []FunctionMeasures // those above a bound, the most complex first
	// Spread lists the types whose methods stand in more than four files. The journals,
	// types named Journal, are left out: there each method stands in the file of its theme.
	Spread   []TypeMeasures
	Contexts []string // fields of structs that hold a context, as folder.Type.field
}

// PackageMeasures are those of one package.
type PackageMeasures struct {
	Folder   string
	Files    int
	Lines    int // with code on them: no blank ones, no comments
	Exported int // names at the top level, methods not counted
	// References counts the pairs of files of which the first names something that the
	// second declares. Up counts those that remain against the order, when the files are
	// put into an order in which few do: none in a package that reads from top to bottom.
	// The order is found by the heuristic of Eades, Lin and Smyth (1993), "A fast and
	// effective heuristic for the feedback arc set problem".
	References, Up int
}

// FunctionMeasures are those of one function: Complexity is the cyclomatic complexity of
// McCabe, 1 and one more for each branch, case, loop, && and ||.
type FunctionMeasures struct {
	Name              string // folder.Type.Method
	Complexity, Lines int
}

// TypeMeasures says in how many files the methods of a type stand.
type TypeMeasures struct {
	Name  string
	Files int
}

// Measure reads a module as [Check] does and measures it.
func Measure(fsys fs.FS) (Measures, error) {
	m, err := load(fsys)
	if err != nil {
		return Measures{}, err
	}
	var all Measures
	for _, p := range m.packages {
		files := slices.DeleteFunc(p.sources(), func(f *file) bool { return f.generated })
		if len(files) == 0 {
			continue
		}
		measured := PackageMeasures{Folder: p.path, Files: len(files)}
		for _, f := range files {
			lines, err := codeLines(fsys, m.fset.Position(f.Package).Filename)
			if err != nil {
				return Measures{}, err
			}
			measured.Lines += lines
		}
		declared := declarationsOf(files)
		measured.Exported = declared.exported
		measured.References, measured.Up = declared.references(files)
		all.Packages = append(all.Packages, measured)
		all.functions(m.fset, p.path, files)
		all.contexts(p.path, files)
	}
	slices.SortFunc(all.Functions, func(a, b FunctionMeasures) int {
		return cmp.Or(cmp.Compare(b.Complexity, a.Complexity), cmp.Compare(b.Lines, a.Lines), cmp.Compare(a.Name, b.Name))
	})
	slices.SortFunc(all.Spread, func(a, b TypeMeasures) int { return cmp.Or(cmp.Compare(b.Files, a.Files), cmp.Compare(a.Name, b.Name)) })
	return all, nil
}

// Over lists the functions that are above a cyclomatic complexity of 15, by name.
func (m Measures) Over() map[string]int {
	over := map[string]int{}
	for _, f := range m.Functions {
		if f.Complexity > maxComplexity {
			over[f.Name] = f.Complexity
		}
	}
	return over
}

// Summary prints the measures on one screen: the sums, the packages that are the hardest
// to read, and what is above a bound.
func (m Measures) Summary() string {
	var out strings.Builder
	var sum PackageMeasures
	for _, p := range m.Packages {
		sum.Files, sum.Lines, sum.Exported = sum.Files+p.Files, sum.Lines+p.Lines, sum.Exported+p.Exported
		sum.References, sum.Up = sum.References+p.References, sum.Up+p.Up
	}
	hardest := slices.SortedFunc(slices.Values(m.Packages), func(a, b PackageMeasures) int {
		return cmp.Or(cmp.Compare(b.Up, a.Up), cmp.Compare(a.Folder, b.Folder))
	})
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, packageHeader)
	for _, p := range hardest[:min(10, len(hardest))] {
		p.print(w)
	}
	sum.Folder = fmt.Sprintf("all %d packages", len(m.Packages))
	sum.print(w)
	_ = w.Flush() // a builder takes everything
	fmt.Fprintf(&out, "%d functions above a complexity of %d, %d longer than %d lines, %d types with methods in more than %d files, %d contexts in structs\n",
		len(m.Over()), maxComplexity, m.long(), maxLines, len(m.Spread), maxMethodIn, len(m.Contexts))
	return out.String()
}

// long counts the functions above the bound of lines.
func (m Measures) long() (count int) {
	for _, f := range m.Functions {
		if f.Lines > maxLines {
			count++
		}
	}
	return count
}

const packageHeader = "files\tlines\texported\treferences\tup\t  package"

func (p *PackageMeasures) print(w io.Writer) {
	fmt.Fprintf(w, "%d\t%d\t%d\t%d\t%d\t  %s\n", p.Files, p.Lines, p.Exported, p.References, p.Up, cmp.Or(p.Folder, "the root"))
}

// String prints all measures as tables.
func (m Measures) String() string {
	var out strings.Builder
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, packageHeader)
	for _, p := range m.Packages {
		p.print(w)
	}
	fmt.Fprintln(w, "\ncomplexity\tlines\t  function")
	for _, f := range m.Functions {
		fmt.Fprintf(w, "%d\t%d\t  %s\n", f.Complexity, f.Lines, f.Name)
	}
	fmt.Fprintln(w, "\nfiles with methods\t  type")
	for _, t := range m.Spread {
		fmt.Fprintf(w, "%d\t  %s\n", t.Files, t.Name)
	}
	_ = w.Flush() // a builder takes everything
	fmt.Fprintf(&out, "\n%d contexts in structs: %s\n", len(m.Contexts), strings.Join(m.Contexts, ", "))
	return out.String()
}

func codeLines(fsys fs.FS, name string) (int, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return 0, err
	}
	set := token.NewFileSet()
	f := set.AddFile(name, -1, len(data))
	var s scanner.Scanner
	s.Init(f, data, nil, 0)
	lines := map[int]bool{}
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return len(lines), nil
		}
		if kind == token.SEMICOLON && text == "\n" {
			continue
		}
		for i := range strings.Count(text, "\n") + 1 {
			lines[f.Line(pos)+i] = true
		}
	}
}

// functions measures the functions of a package, and where the methods of its types stand.
func (m *Measures) functions(set *token.FileSet, folder string, files []*file) {
	in := map[string]map[*file]bool{}
	for _, f := range files {
		for _, function := range functions(f) {
			name := folder + "." + function.Name.Name
			if function.Recv != nil {
				of := folder + "." + receiver(function)
				name = of + "." + function.Name.Name
				if in[of] == nil {
					in[of] = map[*file]bool{}
				}
				in[of][f] = true
			}
			lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1
			if c := complexity(function); c > maxComplexity || lines > maxLines {
				m.Functions = append(m.Functions, FunctionMeasures{name, c, lines})
			}
		}
	}
	for name, files := range in {
		if len(files) > maxMethodIn && !strings.HasSuffix(name, ".Journal") {
			m.Spread = append(m.Spread, TypeMeasures{name, len(files)})
		}
	}
}

func complexity(function *ast.FuncDecl) int {
	count := 1
	ast.Inspect(function, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.IfStmt, *ast.ForStmt, *ast.RangeStmt:
			count++
		case *ast.CaseClause:
			if n.List != nil {
				count++
			}
		case *ast.CommClause:
			if n.Comm != nil {
				count++
			}
		case *ast.BinaryExpr:
			if n.Op == token.LAND || n.Op == token.LOR {
				count++
			}
		}
		return true
	})
	return count
}

// contexts finds the fields that hold a context.
func (m *Measures) contexts(folder string, files []*file) {
	for _, f := range files {
		ast.Inspect(f.File, func(n ast.Node) bool {
			spec, is := n.(*ast.TypeSpec)
			if !is {
				return true
			}
			if structure, is := spec.Type.(*ast.StructType); is {
				for _, field := range structure.Fields.List {
					if s, is := field.Type.(*ast.SelectorExpr); is && s.Sel.Name == "Context" && fmt.Sprint(s.X) == "context" {
						m.Contexts = append(m.Contexts, folder+"."+spec.Name.Name+"."+fieldName(field))
					}
				}
			}
			return true
		})
	}
}

// fieldName is the name of a field; an embedded context has that of its type.
func fieldName(field *ast.Field) string {
	if len(field.Names) == 0 {
		return "Context"
	}
	return field.Names[0].Name
}

// declarations holds the names that the files of a package declare, each with its file.
type declarations struct {
	top      map[string]int // the index of the file
	methods  map[string]int // by the name alone; -1 when more than one file has such a method or field
	exported int
}

func declarationsOf(files []*file) declarations {
	d := declarations{top: map[string]int{}, methods: map[string]int{}}
	member := func(name string, i int) {
		if at, seen := d.methods[name]; seen && at != i {
			i = -1
		}
		d.methods[name] = i
	}
	for i, f := range files {
		ast.Inspect(f.File, func(n ast.Node) bool {
			if structure, is := n.(*ast.StructType); is {
				for _, field := range structure.Fields.List {
					for _, name := range field.Names {
						member(name.Name, -1)
					}
				}
			}
			return true
		})
		for _, declaration := range f.Decls {
			switch declaration := declaration.(type) {
			case *ast.FuncDecl:
				if declaration.Recv != nil {
					member(declaration.Name.Name, i)
					continue
				}
				d.name(declaration.Name, i)
			case *ast.GenDecl:
				for _, spec := range declaration.Specs {
					switch spec := spec.(type) {
					case *ast.TypeSpec:
						d.name(spec.Name, i)
					case *ast.ValueSpec:
						for _, name := range spec.Names {
							d.name(name, i)
						}
					}
				}
			}
		}
	}
	return d
}

func (d *declarations) name(name *ast.Ident, i int) {
	d.top[name.Name] = i
	if name.IsExported() {
		d.exported++
	}
}

// references counts the pairs of files that name each other, and those that run up. A
// method counts where only one file declares one of its name.
func (d *declarations) references(files []*file) (all, up int) {
	edges := make([]map[int]bool, len(files))
	for i, f := range files {
		edges[i] = map[int]bool{}
		members := map[*ast.Ident]bool{}
		ast.Inspect(f.File, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				members[n.Sel] = true
				if at, known := d.methods[n.Sel.Name]; known && at >= 0 && at != i {
					edges[i][at] = true
				}
			case *ast.Ident:
				if at, known := d.top[n.Name]; known && at != i && !members[n] {
					edges[i][at] = true
				}
			}
			return true
		})
		all += len(edges[i])
	}
	place := make([]int, len(files))
	for at, i := range inOrder(edges) {
		place[i] = at
	}
	for i, to := range edges {
		for j := range to {
			if place[j] < place[i] {
				up++
			}
		}
	}
	return all, up
}

// inOrder puts nodes into an order in which few edges run from a later to an earlier.
func inOrder(edges []map[int]bool) []int {
	left := map[int]bool{}
	for i := range edges {
		left[i] = true
	}
	degree := func(i int) (out, in int) {
		for j := range left {
			if edges[i][j] {
				out++
			}
			if edges[j][i] {
				in++
			}
		}
		return out, in
	}
	var first, last []int
	for len(left) > 0 {
		best, most, sink := -1, 0, -1
		for _, i := range slices.Sorted(maps.Keys(left)) {
			out, in := degree(i)
			if out == 0 {
				sink = i
				break
			}
			if in == 0 {
				out += len(edges) // a source goes before all others
			}
			if best < 0 || out-in > most {
				best, most = i, out-in
			}
		}
		if sink >= 0 {
			last = append(last, sink)
			delete(left, sink)
			continue
		}
		first = append(first, best)
		delete(left, best)
	}
	slices.Reverse(last)
	return append(first, last...)
}
