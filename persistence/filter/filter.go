package filter

import (
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/internal/pattern"
)

// Limits of one filter. Filters beyond them are invalid.
const (
	// MaxDepth is the height of the tree; a leaf has height 1. And inside And and
	// Or inside Or add none, nor does Not inside Not.
	MaxDepth = 16
	// MaxLeaves is the number of leaves of the whole tree.
	MaxLeaves = 256
	// MaxOperands is the number of operands of one In or NotIn.
	MaxOperands = 1000
	// MaxRegex is the size of a regular expression in bytes.
	MaxRegex = 1 << 10
	// MaxRegexSteps is the size of all regular expressions of a filter together once
	// their repetitions are written out: x{1000} counts 1000 times. To match takes up
	// to so many steps for each byte of text.
	MaxRegexSteps = pattern.MaxSteps
	// MaxOperand is the size of any other text operand in bytes; no event holds more.
	MaxOperand = persistence.MaxMetadataBytes
)

// Filter chooses events. The zero Filter chooses all of them. Filters are
// immutable and safe for concurrent use.
type Filter struct {
	// root is nil in the zero Filter. A pointer alone makes a Filter as cheap to
	// pass as an interface value as it is by itself.
	root *node
}

type nodeKind uint8

const (
	invalidNode nodeKind = iota
	leafNode
	andNode
	orNode
	notNode
)

// node is a part of the tree. A nil node is the zero Filter. An invalid node
// never has a parent: it takes the place of what was to be built from it.
type node struct {
	kind     nodeKind
	leaf     leaf
	children []*node
	depth    int
	leaves   int
	steps    int
	err      *persistence.InvalidError
}

// And chooses the events that f and all others choose.
func (f Filter) And(others ...Filter) Filter { return f.join(andNode, others) }

// Or chooses the events that f or any of the others choose. Since the zero Filter
// chooses everything, so does every Or with it: begin with the first alternative.
func (f Filter) Or(others ...Filter) Filter { return f.join(orNode, others) }

// Not chooses the events that f does not choose, those that lack f's fields
// included.
func Not(f Filter) Filter {
	switch {
	case f.root != nil && f.root.kind == invalidNode:
		return f
	case f.root != nil && f.root.kind == notNode:
		return Filter{f.root.children[0]}
	}
	return grow(notNode, []*node{f.root})
}

// join flattens: the children of a child of the same kind become children, so
// that a filter which is extended in a loop grows in width, not in depth.
func (f Filter) join(kind nodeKind, others []Filter) Filter {
	children := make([]*node, 0, 1+len(others))
	everything := false
	for i := -1; i < len(others); i++ {
		part := f
		if i >= 0 {
			part = others[i]
		}
		switch n := part.root; {
		case n == nil:
			everything = true
		case n.kind == invalidNode:
			return part
		case n.kind == kind:
			children = append(children, n.children...)
		default:
			children = append(children, n)
		}
	}
	switch {
	case everything && kind == orNode, len(children) == 0:
		return Filter{}
	case len(children) == 1:
		return Filter{children[0]}
	}
	return grow(kind, children)
}

func grow(kind nodeKind, children []*node) Filter {
	n := &node{kind: kind, children: children}
	for _, child := range children {
		n.depth = max(n.depth, 1+child.height())
		if child != nil {
			n.leaves += child.leaves
			n.steps += child.steps
		}
	}
	if err := checkSize(n.depth, n.leaves, n.steps); err != nil {
		return invalid(err)
	}
	return Filter{n}
}

func checkSize(depth, leaves, steps int) *persistence.InvalidError {
	for _, size := range [...]struct {
		reason        string
		actual, limit int
	}{
		{"is nested too deeply", depth, MaxDepth},
		{"has too many leaves", leaves, MaxLeaves},
		{"has patterns that repeat too much", steps, MaxRegexSteps},
	} {
		if size.actual > size.limit {
			return &persistence.InvalidError{Field: "filter", Reason: size.reason, Size: size.actual, Limit: size.limit}
		}
	}
	return nil
}

func (n *node) height() int {
	if n == nil {
		return 1
	}
	return n.depth
}

func invalid(err *persistence.InvalidError) Filter {
	return Filter{&node{kind: invalidNode, err: err}}
}

// Check returns a [*persistence.InvalidError] that names the field when the filter cannot
// be used. A function that takes a filter from a caller calls it first.
func (f Filter) Check() error {
	if f.root != nil && f.root.kind == invalidNode {
		return f.root.err
	}
	return nil
}

// Match reports whether the filter chooses an event. It is the only evaluator:
// journals may use [Filter.Necessary] to read less, but Match decides. An invalid
// filter chooses nothing.
func (f Filter) Match(recorded *persistence.Recorded) bool { return f.root.match(recorded) }

func (n *node) match(recorded *persistence.Recorded) bool {
	if n == nil {
		return true
	}
	switch n.kind {
	case leafNode:
		return n.leaf.match(recorded)
	case andNode:
		for _, child := range n.children {
			if !child.match(recorded) {
				return false
			}
		}
		return true
	case orNode:
		for _, child := range n.children {
			if child.match(recorded) {
				return true
			}
		}
	case notNode:
		return !n.children[0].match(recorded)
	case invalidNode:
	}
	return false
}

// CheckMetadata is [Filter.Check] for a filter that [Filter.MatchMetadata] is to
// evaluate: a leaf on anything but metadata is invalid.
func (f Filter) CheckMetadata() error {
	if err := f.Check(); err != nil {
		return err
	}
	if !f.root.metadataOnly() {
		return &persistence.InvalidError{Field: "filter", Reason: "may look at nothing but metadata here"}
	}
	return nil
}

func (n *node) metadataOnly() bool {
	if n == nil {
		return true
	}
	for _, child := range n.children {
		if !child.metadataOnly() {
			return false
		}
	}
	return n.kind != leafNode || n.leaf.field.property == metadataProperty
}

// MatchMetadata reports whether the filter chooses what is no event but has
// metadata: a stream.
func (f Filter) MatchMetadata(metadata persistence.Metadata) bool {
	return f.root.match(&persistence.Recorded{Event: persistence.Event{Metadata: metadata}})
}
