package filter

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/stele-es/stele/persistence"
)

// decode goes token by token, because decoding into structs takes names in any
// case, keeps the last of several and knows no bound of depth.
func decode(data []byte) (Filter, error) {
	switch {
	case !json.Valid(data):
		return Filter{}, malformed("is not JSON")
	case !utf8.Valid(data) || loneSurrogate(data):
		return Filter{}, malformed("is not valid Unicode")
	}
	d := &decoder{Decoder: json.NewDecoder(bytes.NewReader(data))}
	d.UseNumber()
	return d.filter(1)
}

// loneSurrogate looks through valid JSON, where a backslash can only stand inside
// a string, for half a character, which the decoder would silently replace.
func loneSurrogate(data []byte) bool {
	for {
		at := bytes.IndexByte(data, '\\')
		if at < 0 {
			return false
		}
		data = data[at:]
		switch half := surrogate(data); {
		case half == low, half == high && surrogate(data[6:]) != low:
			return true
		case half == high:
			data = data[12:]
		default:
			data = data[2:]
		}
	}
}

type half uint8

const (
	whole half = iota
	high
	low
)

func surrogate(data []byte) half {
	if len(data) < 6 || data[0] != '\\' || data[1] != 'u' {
		return whole
	}
	code, err := strconv.ParseUint(string(data[2:6]), 16, 16)
	switch {
	case err != nil || code < 0xd800 || code > 0xdfff:
		return whole
	case code < 0xdc00:
		return high
	}
	return low
}

// decoder reads JSON that is known to be valid, so a token is never an error.
// It counts what it has made, because a document may hold many more leaves than
// a filter before they are joined.
type decoder struct {
	*json.Decoder
	leaves, steps int
}

func (d *decoder) next() json.Token {
	token, err := d.Token()
	if err != nil {
		return nil
	}
	return token
}

// object is the filter that the members of one JSON object describe.
type object struct {
	names []string
	built Filter // of and, or, not
	at    field
	op    string
	value []json.Token
	list  bool // value is a list
}

func (d *decoder) filter(depth int) (Filter, error) {
	if err := checkSize(depth, d.leaves, d.steps); err != nil {
		return Filter{}, err
	}
	if d.next() != json.Delim('{') {
		return Filter{}, malformed("is not a JSON object")
	}
	var o object
	for d.More() {
		name, _ := d.next().(string)
		if slices.Contains(o.names, name) {
			return Filter{}, malformed("names something twice")
		}
		o.names = append(o.names, name)
		if err := d.member(&o, name, depth); err != nil {
			return Filter{}, err
		}
	}
	d.next()
	if len(o.names) < 2 {
		return o.join()
	}
	leaf, err := o.leaf()
	if err == nil {
		d.leaves, d.steps = d.leaves+1, d.steps+leaf.root.steps
	}
	return leaf, err
}

func (d *decoder) member(o *object, name string, depth int) (err error) {
	switch name {
	case "and", "or":
		o.built, err = d.list(name, depth)
	case "not":
		o.built, err = d.filter(depth + 1)
		o.built = Not(o.built)
	case "field":
		err = d.text(&name)
		property, ok := parseProperty(name)
		if err == nil && !ok {
			err = malformed("looks at a field that does not exist")
		}
		o.at.property = property
	case "meta":
		o.at.property = metadataProperty
		err = d.text(&o.at.key)
	case "op":
		err = d.text(&o.op)
	case "value":
		o.value, o.list, err = d.operands()
	default:
		err = malformed("has a member that does not exist")
	}
	return err
}

func (d *decoder) text(into *string) error {
	text, ok := d.next().(string)
	if !ok {
		return malformed("has something else where a string belongs")
	}
	*into = text
	return nil
}

func (d *decoder) list(name string, depth int) (Filter, error) {
	if d.next() != json.Delim('[') || !d.More() {
		return Filter{}, malformed("joins what is not a list with filters in it")
	}
	var parts []Filter
	for d.More() {
		part, err := d.filter(depth + 1)
		if err != nil {
			return Filter{}, err
		}
		parts = append(parts, part)
	}
	d.next()
	if name == "and" {
		return parts[0].And(parts[1:]...), nil
	}
	return parts[0].Or(parts[1:]...), nil
}

func (d *decoder) operands() (tokens []json.Token, list bool, err error) {
	token := d.next()
	if token != json.Delim('[') {
		if !scalar(token) {
			return nil, false, malformed("has an operand that is not a string, number or truth value")
		}
		return []json.Token{token}, false, nil
	}
	for d.More() {
		if token = d.next(); !scalar(token) {
			return nil, true, malformed("has an operand that is not a string, number or truth value")
		}
		tokens = append(tokens, token)
	}
	d.next()
	return tokens, true, nil
}

func scalar(token json.Token) bool {
	switch token.(type) {
	case string, json.Number, bool:
		return true
	}
	return false
}

// join is what an object without or with one member means.
func (o *object) join() (Filter, error) {
	if len(o.names) == 1 && !slices.Contains([]string{"and", "or", "not"}, o.names[0]) {
		return Filter{}, misshapen()
	}
	return o.built, nil
}

func (o *object) leaf() (Filter, error) {
	slices.Sort(o.names)
	named := func(names ...string) bool { return slices.Equal(o.names, names) }
	if !named("field", "op", "value") && !named("meta", "op", "value") && !named("field", "op") && !named("meta", "op") {
		return Filter{}, misshapen()
	}
	op, ok := parseOperator(o.op)
	switch {
	case !ok:
		return Filter{}, o.at.fault("does not know this operator")
	case op.set() != o.list:
		return Filter{}, o.at.fault("takes a list of operands exactly with in and nin")
	}
	operands := make([]value, len(o.value))
	for i, token := range o.value {
		operand, err := decodeOperand(o.at, token)
		if err != nil {
			return Filter{}, err
		}
		operands[i] = operand
	}
	f := newLeaf(o.at, op, operands)
	return f, f.Check()
}

// decodeOperand reads an operand of a field. Only metadata leaves the kind to the JSON.
func decodeOperand(f field, token json.Token) (value, error) {
	var err *persistence.InvalidError
	var operand value
	switch t := token.(type) {
	case string:
		if f.property == versionProperty || f.property == positionProperty {
			return value{}, f.fault("has an operand that is not a number")
		}
		if f.property == metadataProperty {
			return textValue(t), nil
		}
		operand, err = f.parse(t)
	case json.Number:
		if f.property == versionProperty || f.property == positionProperty {
			operand, err = f.parse(t.String())
			break
		}
		number, ok := parseNumber(t.String())
		if !ok || f.property != metadataProperty {
			return value{}, f.fault("has an operand of the wrong kind or out of range")
		}
		return number, nil
	case bool:
		if f.property != metadataProperty {
			return value{}, f.fault("has an operand of the wrong kind or out of range")
		}
		return truthValue(t), nil
	}
	if err != nil {
		return value{}, err
	}
	return operand, nil
}

func misshapen() error { return malformed("is neither a leaf nor one of and, or, not") }
