package archtest

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
)

// checkComments checks that the package and everything it exports is explained.
func checkComments(c *checker, p *folder) {
	sources := p.sources()
	if len(sources) == 0 {
		return // a folder of tests only
	}
	packageComment(c, sources)
	if sources[0].Name.Name == "main" {
		return // a program exports nothing
	}
	for _, file := range sources {
		if file.generated {
			continue
		}
		for _, declaration := range file.Decls {
			declarationComment(c, declaration)
		}
	}
}

// persons are words for people in comments about callers, goroutines and programs: a
// reader looks for the man.
var persons = regexp.MustCompile(`(?i)\b(he|him|his|himself|she|her)\b`)

// checkEnglish finds the forms that make a comment hard to read and can be found for sure.
func checkEnglish(c *checker, p *folder) {
	for _, f := range p.files {
		if f.generated {
			continue
		}
		for _, group := range f.Comments {
			for _, line := range group.List {
				if word := persons.FindString(line.Text); word != "" {
					c.report(line.Pos(), "comment says %q of a thing: name the thing, or say it", word)
				}
			}
		}
	}
}

func packageComment(c *checker, sources []*file) {
	start := "Package " + sources[0].Name.Name + " "
	if sources[0].Name.Name == "main" {
		start = "Command "
	}
	for _, file := range sources {
		if file.Doc != nil && strings.HasPrefix(file.Doc.Text(), start) {
			return
		}
	}
	c.report(sources[0].Package, "package %s has no doc comment that begins with %q", sources[0].Name.Name, strings.TrimSpace(start))
}

func declarationComment(c *checker, declaration ast.Decl) {
	switch d := declaration.(type) {
	case *ast.FuncDecl:
		if d.Doc == nil && d.Name.IsExported() && !selfExplaining(d) {
			undocumented(c, d.Pos(), d.Name)
		}
	case *ast.GenDecl:
		if d.Tok == token.IMPORT || d.Doc != nil && d.Lparen.IsValid() {
			return // the comment above a group speaks for all in it
		}
		for _, spec := range d.Specs {
			specComment(c, d, spec)
		}
	}
}

func specComment(c *checker, group *ast.GenDecl, spec ast.Spec) {
	switch s := spec.(type) {
	case *ast.TypeSpec:
		if group.Doc == nil && s.Doc == nil && s.Name.IsExported() {
			undocumented(c, s.Pos(), s.Name)
		}
	case *ast.ValueSpec:
		if group.Doc != nil || s.Doc != nil || s.Comment != nil {
			return
		}
		for _, name := range s.Names {
			if name.IsExported() {
				undocumented(c, s.Pos(), name)
			}
		}
	}
}

func undocumented(c *checker, at token.Pos, name *ast.Ident) {
	c.report(at, "%s is exported without a comment that says what it promises", name.Name)
}

// selfExplaining reports methods that nobody calls by their documentation: those
// of unexported types, and those that fulfil an interface everybody knows.
func selfExplaining(function *ast.FuncDecl) bool {
	if function.Recv == nil {
		return false
	}
	known := []string{"Error", "Unwrap", "String", "Len", "Less", "Swap"}
	return slices.Contains(known, function.Name.Name) || !ast.IsExported(receiver(function))
}

// receiver is the name of a method's type.
func receiver(function *ast.FuncDecl) string {
	expression := function.Recv.List[0].Type
	for {
		switch e := expression.(type) {
		case *ast.StarExpr:
			expression = e.X
		case *ast.ParenExpr:
			expression = e.X
		case *ast.IndexExpr:
			expression = e.X
		case *ast.IndexListExpr:
			expression = e.X
		case *ast.Ident:
			return e.Name
		default:
			return ""
		}
	}
}

func functions(file *file) []*ast.FuncDecl {
	var all []*ast.FuncDecl
	for _, declaration := range file.Decls {
		if function, is := declaration.(*ast.FuncDecl); is {
			all = append(all, function)
		}
	}
	return all
}
