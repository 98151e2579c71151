package filter

import (
	"strings"

	"github.com/stele-es/stele/persistence"
)

// Text makes a leaf of what came as text, from a query string or a command line.
//
//	filter.Text("meta.tenant", "=", "acme")
//	filter.Text("version", ">=", "10")
//	filter.Text("type", "in", "opened", "closed")
//
// Fields are id, type, time, version, position, stream, category, tag, and meta
// followed by "." and the key, whatever the key holds. Operators are = != > >= <
// <= in nin prefix matches exists, or eq ne gt ge lt le in words. All take one
// text but in and nin, which take any number, and exists, which takes none.
//
// Metadata compares with the text and, where it is a number or "true" or "false", with
// those too, so a query need not know how a value was stored. The other fields are
// strict: a time is one of RFC 3339, a version is decimal. A text that does not fit is a
// [*persistence.InvalidError].
func Text(field, operator string, texts ...string) (Filter, error) {
	at, err := parseField(field)
	if err != nil {
		return Filter{}, err
	}
	op, ok := parseOperator(operator)
	if !ok {
		return Filter{}, at.fault("does not know this operator")
	}
	f := at.text(op, texts)
	if err := f.Check(); err != nil {
		return Filter{}, err
	}
	return f, nil
}

func parseField(name string) (field, error) {
	if key, ok := strings.CutPrefix(name, names[metadataProperty]+"."); ok {
		return field{property: metadataProperty, key: key}, nil
	}
	p, ok := parseProperty(name)
	if !ok {
		return field{}, &persistence.InvalidError{Field: "filter", Reason: "looks at a field that does not exist"}
	}
	return field{property: p}, nil
}

func (f field) text(op operator, texts []string) Filter {
	if f.property == metadataProperty {
		return f.anyKind(op, texts)
	}
	operands := make([]value, len(texts))
	for i, text := range texts {
		operand, err := f.parse(text)
		if err != nil {
			return invalid(err)
		}
		operands[i] = operand
	}
	return newLeaf(f, op, operands)
}

// anyKind reads the texts in every way that they can be meant and that the
// operator knows. A value of the event has one kind, so at most one way holds.
func (f field) anyKind(op operator, texts []string) Filter {
	var plain, numbers, truths []value
	for _, text := range texts {
		plain = append(plain, textValue(text))
		if number, ok := parseNumber(text); ok {
			numbers = append(numbers, number)
		}
		if text == "true" || text == "false" {
			truths = append(truths, truthValue(text == "true"))
		}
	}
	whole := newLeaf(f, op, plain)
	for _, operands := range [][]value{numbers, truths} {
		if len(operands) > 0 && known(f.property, operands[0].kind).have(op) {
			whole = whole.Or(newLeaf(f, op, operands))
		}
	}
	return whole
}
