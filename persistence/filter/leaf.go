package filter

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// leaf compares one field with operands. A set of operands is sorted and has no
// equal ones, so that a look-up is a binary search and one filter has one form.
type leaf struct {
	field    field
	op       operator
	operands []value
	regex    *regexp.Regexp
}

// newLeaf owns the operands. It holds every rule of leaves, also those that the
// constructors make impossible to break, because front ends come here too.
func newLeaf(at field, op operator, operands []value) Filter {
	l := leaf{field: at, op: op, operands: operands}
	if err := l.check(); err != nil {
		return invalid(err)
	}
	switch {
	case len(operands) == 0:
		l.operands = nil // one form, however there came to be none
	case op.set():
		slices.SortStableFunc(l.operands, func(v, w value) int { return compare(&v, &w) })
		l.operands = slices.CompactFunc(l.operands, func(v, w value) bool { return compare(&v, &w) == 0 })
	}
	n := &node{kind: leafNode, leaf: l, depth: 1, leaves: 1}
	if op == matches {
		regex, steps, err := compile(at, operands[0].text)
		if err != nil {
			return invalid(err)
		}
		n.leaf.regex, n.steps = regex, steps
	}
	return Filter{n}
}

func (l *leaf) check() *persistence.InvalidError {
	if err := l.field.check(); err != nil {
		if invalid, ok := errors.AsType[*persistence.InvalidError](err); ok {
			return invalid
		}
	}
	if err := l.checkCount(); err != nil {
		return err
	}
	limit := MaxOperand
	if l.op == matches {
		limit = MaxRegex
	}
	operandKind := noKind
	for i := range l.operands {
		operand := &l.operands[i]
		if reason := l.field.accept(operand); reason != "" {
			return l.field.fault(reason)
		}
		if len(operand.text) > limit {
			err := l.field.fault("has an operand that is too long")
			err.Size, err.Limit = len(operand.text), limit
			return err
		}
		if !sameKind(operand, &l.operands[0]) {
			return l.field.fault("mixes operands of several kinds")
		}
		operandKind = operand.kind
	}
	if !known(l.field.property, operandKind).have(l.op) {
		return l.field.fault("does not know this operator for such an operand")
	}
	return nil
}

func (l *leaf) checkCount() *persistence.InvalidError {
	switch count := len(l.operands); {
	case l.op.set():
		if count > MaxOperands {
			err := l.field.fault("has too many operands")
			err.Size, err.Limit = count, MaxOperands
			return err
		}
	case l.op == exists:
		if count > 0 {
			return l.field.fault("takes no operand with this operator")
		}
	case count != 1:
		return l.field.fault("takes one operand with this operator")
	}
	return nil
}

func (l *leaf) match(recorded *persistence.Recorded) bool {
	if l.field.property == tagProperty {
		for _, tag := range recorded.Tags {
			if found := textValue(tag); l.holds(&found) {
				return true
			}
		}
		return false
	}
	found := l.field.of(recorded)
	return found.present() && l.holds(&found)
}

func (l *leaf) holds(found *value) bool {
	if len(l.operands) == 0 {
		return l.op != in
	}
	if !sameKind(found, &l.operands[0]) {
		return false
	}
	switch l.op {
	case in:
		return l.contains(found)
	case notIn:
		return !l.contains(found)
	case prefix:
		return strings.HasPrefix(found.text, l.operands[0].text)
	case matches:
		return l.regex.MatchString(found.text)
	}
	switch order := compare(found, &l.operands[0]); l.op {
	case eq:
		return order == 0
	case ne:
		return order != 0
	case gt:
		return order > 0
	case ge:
		return order >= 0
	case lt:
		return order < 0
	case le:
		return order <= 0
	}
	return false
}

func (l *leaf) contains(found *value) bool {
	low, high := 0, len(l.operands)
	for low < high {
		middle := int(uint(low+high) >> 1)
		switch order := compare(found, &l.operands[middle]); {
		case order == 0:
			return true
		case order < 0:
			high = middle
		default:
			low = middle + 1
		}
	}
	return false
}
