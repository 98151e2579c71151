package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"strings"
)

// surface checks that no hidden module's type shows in what a package exports:
// signatures, exported fields, embedded types, and the same of the unexported
// types that are reached through them.
func (c *checker) surface(p *folder) {
	sources := p.sources()
	if p.internal() || len(sources) == 0 || sources[0].Name.Name == "main" {
		return
	}
	s := &surface{checker: c, types: map[string]localType{}, methods: map[string][]method{}, seen: map[string]bool{}}
	for _, file := range sources {
		s.collect(file, c.rules.Hidden)
	}
	for name := range s.types {
		if ast.IsExported(name) {
			s.named(name)
		}
	}
	for _, function := range s.functions {
		s.signature(function.in, function.Type)
	}
	for _, value := range s.values {
		s.value(value.in, value.ValueSpec)
	}
}

// surface walks from the exported names of one package to every type expression
// that its importers can see.
type surface struct {
	*checker
	types     map[string]localType
	methods   map[string][]method // exported ones, by the type's name
	functions []method
	values    []value
	seen      map[string]bool
}

// hiddenNames are the names under which one file imports hidden modules.
type hiddenNames map[string]string

type localType struct {
	*ast.TypeSpec
	in hiddenNames
}

type method struct {
	*ast.FuncDecl
	in hiddenNames
}

type value struct {
	*ast.ValueSpec
	in hiddenNames
}

func (s *surface) collect(file *file, hidden []string) {
	in := hiddenImports(file, hidden)
	for _, function := range functions(file) {
		switch {
		case !function.Name.IsExported():
		case function.Recv == nil:
			s.functions = append(s.functions, method{function, in})
		default:
			s.methods[receiver(function)] = append(s.methods[receiver(function)], method{function, in})
		}
	}
	for _, declaration := range file.Decls {
		group, is := declaration.(*ast.GenDecl)
		if !is {
			continue
		}
		for _, spec := range group.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				s.types[spec.Name.Name] = localType{spec, in}
			case *ast.ValueSpec:
				if anyExported(spec.Names) {
					s.values = append(s.values, value{spec, in})
				}
			}
		}
	}
}

func hiddenImports(file *file, hidden []string) hiddenNames {
	in := hiddenNames{}
	for _, spec := range file.Imports {
		imported := importPath(spec)
		for _, module := range hidden {
			if within(imported, module) {
				in[localName(spec, imported)] = imported
			}
		}
	}
	return in
}

// localName guesses a package's name from its path when the import gives none:
// the last element that is not a major version, without a "go-" or "-go".
func localName(spec *ast.ImportSpec, imported string) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	last := path.Base(imported)
	if len(last) > 1 && last[0] == 'v' && strings.Trim(last[1:], "0123456789") == "" {
		last = path.Base(path.Dir(imported))
	}
	return strings.TrimSuffix(strings.TrimPrefix(last, "go-"), "-go")
}

// named follows a type of the package: its definition and its exported methods.
func (s *surface) named(name string) {
	local, found := s.types[name]
	if !found || s.seen[name] {
		return
	}
	s.seen[name] = true
	s.fields(local.in, local.TypeParams)
	s.expression(local.in, local.Type)
	for _, method := range s.methods[name] {
		s.signature(method.in, method.Type)
	}
}

func (s *surface) signature(in hiddenNames, function *ast.FuncType) {
	s.fields(in, function.TypeParams)
	s.fields(in, function.Params)
	s.fields(in, function.Results)
}

func (s *surface) fields(in hiddenNames, fields *ast.FieldList) {
	if fields == nil {
		return
	}
	for _, field := range fields.List {
		s.expression(in, field.Type)
	}
}

// members are the fields of a struct or the methods of an interface: the named
// ones count when exported, the embedded ones always, because they are promoted.
func (s *surface) members(in hiddenNames, members *ast.FieldList) {
	for _, member := range members.List {
		if len(member.Names) == 0 || anyExported(member.Names) {
			s.expression(in, member.Type)
		}
	}
}

// expression follows a type expression to the names it is made of.
func (s *surface) expression(in hiddenNames, expression ast.Expr) {
	ast.Inspect(expression, func(node ast.Node) bool {
		switch n := node.(type) {
		case *ast.SelectorExpr:
			s.selector(in, n)
			return false
		case *ast.Ident:
			s.named(n.Name)
		case *ast.StructType:
			s.members(in, n.Fields)
			return false
		case *ast.InterfaceType:
			s.members(in, n.Methods)
			return false
		case *ast.FuncType:
			s.signature(in, n)
			return false
		}
		return true
	})
}

func (s *surface) selector(in hiddenNames, selector *ast.SelectorExpr) {
	from, is := selector.X.(*ast.Ident)
	if !is {
		return
	}
	if imported, hidden := in[from.Name]; hidden {
		s.shown(selector.Pos(), imported, selector.Sel.Name)
	}
}

func (s *surface) shown(at token.Pos, imported, name string) {
	s.report(at, "%s of %s shows in what the package exports", name, imported)
}

// value follows a variable or constant. Without a type it has that of its value,
// which shows when the value is made by the hidden package in so many words.
func (s *surface) value(in hiddenNames, spec *ast.ValueSpec) {
	if spec.Type != nil {
		s.expression(in, spec.Type)
		return
	}
	for _, made := range spec.Values {
		s.made(in, made)
	}
}

func (s *surface) made(in hiddenNames, expression ast.Expr) {
	switch e := expression.(type) {
	case *ast.UnaryExpr:
		s.made(in, e.X)
	case *ast.CallExpr:
		s.made(in, e.Fun)
	case *ast.CompositeLit:
		s.expression(in, e.Type)
	case *ast.FuncLit:
		s.signature(in, e.Type)
	case *ast.SelectorExpr:
		s.selector(in, e)
		s.made(in, e.X)
	}
}

func anyExported(names []*ast.Ident) bool {
	for _, name := range names {
		if name.IsExported() {
			return true
		}
	}
	return false
}
