package archtest

import (
	"go/ast"
	"go/token"
	"path"
	"regexp"
	"strings"
)

// linkPattern is a doc link: a name in brackets, of this package or, after a dot, of a
// type or of an imported package.
var linkPattern = regexp.MustCompile(`\[\*?([A-Za-z_]\w*(?:\.[A-Za-z_]\w*){0,2})\](?:[^(:\[]|$)`)

// checkLinks checks that what comments link to exists.
func checkLinks(c *checker, p *folder) {
	imported := map[string]string{}
	for _, f := range p.sources() {
		for _, spec := range f.Imports {
			imported[localName(spec, importPath(spec))] = importPath(spec)
		}
	}
	for _, f := range p.sources() {
		if f.generated {
			continue
		}
		for _, group := range f.Comments {
			for _, line := range group.List {
				if strings.HasPrefix(line.Text, "//\t") || strings.HasPrefix(line.Text, "//nolint") {
					continue // code
				}
				for _, found := range linkPattern.FindAllStringSubmatch(line.Text, -1) {
					checkLink(c, p, imported, line.Pos(), found[1])
				}
			}
		}
	}
}

func checkLink(c *checker, p *folder, imported map[string]string, at token.Pos, link string) {
	first, rest, dotted := strings.Cut(link, ".")
	if !dotted && !ast.IsExported(first) {
		return // no link: brackets in a sentence
	}
	if symbolsOf(c, p)[link] {
		return
	}
	of, known := imported[first]
	switch {
	case dotted && known:
		if name, ours := strings.CutPrefix(of, c.module.path+"/"); !ours || symbolsOf(c, c.module.folder(name))[rest] {
			return
		}
	case dotted && first == path.Base(p.path) && symbolsOf(c, p)[rest]:
		return
	}
	c.report(at, "comment links to [%s], which is neither declared here nor in a package that is imported here", link)
}

// folder is a package of the module, nil when there is none.
func (m *module) folder(name string) *folder {
	for _, p := range m.packages {
		if p.path == name {
			return p
		}
	}
	return nil
}

// symbolsOf are the names that a package declares, members as Type.Member.
func symbolsOf(c *checker, p *folder) map[string]bool {
	if p == nil {
		return nil
	}
	if known := c.declared[p]; known != nil {
		return known
	}
	all := map[string]bool{}
	for _, f := range p.sources() {
		for _, function := range functions(f) {
			if function.Recv == nil {
				all[function.Name.Name] = true
			} else {
				all[receiver(function)+"."+function.Name.Name] = true
			}
		}
		for _, declaration := range f.Decls {
			if group, is := declaration.(*ast.GenDecl); is {
				for _, spec := range group.Specs {
					addSymbols(all, spec)
				}
			}
		}
	}
	c.declared[p] = all
	return all
}

func addSymbols(all map[string]bool, spec ast.Spec) {
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, name := range spec.Names {
			all[name.Name] = true
		}
	case *ast.TypeSpec:
		all[spec.Name.Name] = true
		var members *ast.FieldList
		switch t := spec.Type.(type) {
		case *ast.StructType:
			members = t.Fields
		case *ast.InterfaceType:
			members = t.Methods
		default:
			return
		}
		for _, member := range members.List {
			for _, name := range member.Names {
				all[spec.Name.Name+"."+name.Name] = true
			}
		}
	}
}
