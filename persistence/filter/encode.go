package filter

import (
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

// document is the JSON of a filter: exactly one of and, or, not and a leaf, or
// nothing for the zero Filter.
type document struct {
	And   []*document     `json:"and,omitempty"`
	Or    []*document     `json:"or,omitempty"`
	Not   *document       `json:"not,omitempty"`
	Field string          `json:"field,omitempty"`
	Meta  string          `json:"meta,omitempty"`
	Op    string          `json:"op,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// MarshalJSON writes the filter, operands included:
//
//	{"and":[{"field":"type","op":"in","value":["opened","closed"]},
//	        {"not":{"meta":"tenant","op":"eq","value":"acme"}}]}
//
// Equal filters that were built in the same order give the same bytes. The zero
// Filter is {}. An invalid filter gives the error of [Filter.Check].
func (f Filter) MarshalJSON() ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(f.root.document())
}

func (n *node) document() *document {
	d := &document{}
	if n == nil {
		return d
	}
	switch n.kind {
	case andNode:
		d.And = documents(n.children)
	case orNode:
		d.Or = documents(n.children)
	case notNode:
		d.Not = n.children[0].document()
	case leafNode:
		n.leaf.document(d)
	case invalidNode:
	}
	return d
}

func documents(nodes []*node) []*document {
	all := make([]*document, len(nodes))
	for i, n := range nodes {
		all[i] = n.document()
	}
	return all
}

func (l *leaf) document(d *document) {
	d.Op = spellings[l.op].word
	if l.field.property == metadataProperty {
		d.Meta = l.field.key
	} else {
		d.Field = names[l.field.property]
	}
	switch {
	case l.op == exists:
	case l.op.set():
		d.Value = append(d.Value, '[')
		for i := range l.operands {
			if i > 0 {
				d.Value = append(d.Value, ',')
			}
			d.Value = l.operands[i].appendJSON(d.Value)
		}
		d.Value = append(d.Value, ']')
	default:
		d.Value = l.operands[0].appendJSON(d.Value)
	}
}

// appendJSON keeps integers and floats apart, as the encoding of metadata does.
func (v *value) appendJSON(out []byte) []byte {
	switch v.kind {
	case integerKind:
		return strconv.AppendInt(out, v.integer(), 10)
	case floatKind:
		digits := strconv.FormatFloat(v.float(), 'g', -1, 64)
		if !strings.ContainsAny(digits, ".e") {
			digits += ".0"
		}
		return append(out, digits...)
	case truthKind:
		return strconv.AppendBool(out, v.truth())
	case timeKind:
		return strconv.AppendQuote(out, v.time().Format(time.RFC3339Nano))
	case idKind:
		return strconv.AppendQuote(out, v.id().String())
	case textKind, noKind:
	}
	quoted, err := json.Marshal(v.text)
	if err != nil { // cannot happen: strings always marshal
		return append(out, `""`...)
	}
	return append(out, quoted...)
}

// UnmarshalJSON reads what [Filter.MarshalJSON] writes and refuses everything
// else with a [*persistence.InvalidError]: unknown and repeated names, empty
// lists, null, text that is not Unicode, operands that do not fit the field, and
// whatever makes a filter invalid. On an error f stays as it was.
func (f *Filter) UnmarshalJSON(data []byte) error {
	read, err := decode(data)
	if err == nil {
		err = read.Check()
	}
	if err != nil {
		return err
	}
	*f = read
	return nil
}

func malformed(reason string) error {
	return &persistence.InvalidError{Field: "filter", Reason: reason}
}
