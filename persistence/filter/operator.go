package filter

type operator uint8

const (
	eq operator = iota
	ne
	gt
	ge
	lt
	le
	in
	notIn
	prefix
	matches
	exists
)

// spellings are how operators are written: words in JSON, signs for people. Both
// can be read.
var spellings = [...]struct{ word, sign string }{
	eq: {"eq", "="}, ne: {"ne", "!="},
	gt: {"gt", ">"}, ge: {"ge", ">="}, lt: {"lt", "<"}, le: {"le", "<="},
	in: {"in", "in"}, notIn: {"nin", "nin"},
	prefix: {"prefix", "prefix"}, matches: {"matches", "matches"}, exists: {"exists", "exists"},
}

func parseOperator(text string) (operator, bool) {
	for op, spelling := range spellings {
		if text == spelling.word || text == spelling.sign {
			return operator(op), true
		}
	}
	return 0, false
}

// set reports whether the operator takes any number of operands.
func (o operator) set() bool { return o == in || o == notIn }

// operators is a set of operators.
type operators uint16

const (
	equality operators = 1<<eq | 1<<ne | 1<<in | 1<<notIn
	order    operators = equality | 1<<gt | 1<<ge | 1<<lt | 1<<le
	textual  operators = order | 1<<prefix | 1<<matches
	presence operators = 1 << exists
	// Any-of semantics turn a negative operator into a trap: "some tag is not x" is
	// hardly ever meant. Order on one of several tags says nothing either.
	onTags operators = 1<<eq | 1<<in | 1<<prefix | 1<<matches | 1<<exists
)

func (s operators) have(o operator) bool { return s&(1<<o) != 0 }

// known are the operators that make sense for operands of a kind in a field. The
// constructors offer no others; input of others is held against it.
func known(p property, k kind) operators {
	var byKind operators
	switch k {
	case noKind: // no operands
		byKind = 1<<in | 1<<notIn | presence
	case textKind:
		byKind = textual
	case integerKind, floatKind, timeKind:
		byKind = order
	case truthKind, idKind:
		byKind = equality
	}
	switch p {
	case tagProperty:
		return byKind & onTags
	case categoryProperty, metadataProperty:
		return byKind
	}
	return byKind &^ presence // every event has the field
}
