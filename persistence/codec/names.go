package codec

import (
	"fmt"
	"reflect"

	"github.com/stele-es/stele/persistence"
)

// Names finds Go types that are stored under one name, of which one would be read as
// the other. The zero value knows none.
type Names struct{ known map[string]usage }

type usage struct {
	of *Type
	by string
}

// Add makes types known that somebody uses. Each that has the name of another Go type is
// a [*persistence.InvalidError], which names the users of both. A struct and a pointer to
// it are one type, since they are stored alike.
func (n *Names) Add(by string, types ...*Type) error {
	if n.known == nil {
		n.known = map[string]usage{}
	}
	for _, t := range types {
		if err := n.Check(by, t); err != nil {
			return err
		}
		if _, taken := n.known[t.name]; !taken {
			n.known[t.name] = usage{t, by}
		}
	}
	return nil
}

// Check is Add without making the types known.
func (n *Names) Check(by string, types ...*Type) error {
	for _, t := range types {
		known, taken := n.known[t.name]
		if !taken || known.of.element() == t.element() {
			continue
		}
		return &persistence.InvalidError{Field: t.name, Reason: fmt.Sprintf(
			"is the stored name of two Go types, %s (%s) and %s (%s): give one another name, or use one type for both",
			path(known.of.element()), known.by, path(t.element()), by)}
	}
	return nil
}

// path is a type with the whole path of its package, which may have the name of another.
func path(t reflect.Type) string {
	if t.Kind() == reflect.Pointer {
		return "*" + path(t.Elem())
	}
	return t.PkgPath() + "." + t.Name()
}
