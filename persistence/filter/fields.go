package filter

import (
	"time"

	"github.com/stele-es/stele/persistence"
)

// ID looks at the event's id.
func ID() Field[persistence.EventID] {
	return Field[persistence.EventID]{field{property: idProperty}, idValue}
}

// Type looks at the event's type as stored, before any upcasting.
func Type() TextField[string] { return textField[string](field{property: typeProperty}) }

// Stream looks at the name of the event's stream.
func Stream() TextField[persistence.StreamID] {
	return textField[persistence.StreamID](field{property: streamProperty})
}

// Version looks at the event's version in its stream.
func Version() OrderedField[persistence.Version] {
	return orderedField(field{property: versionProperty}, integerValue[persistence.Version])
}

// Offset looks at the event's position: its offset, whichever the partition. In
// text and JSON the field is called position.
func Offset() OrderedField[int64] {
	return orderedField(field{property: positionProperty}, integerValue[int64])
}

// Time looks at when the journal stored the event, in microseconds: what an
// operand has below them is cut off. Operands lie in the years 1 to 9999.
func Time() OrderedField[time.Time] {
	return orderedField(field{property: timeProperty}, timeOperand)
}

// Category looks at the category of the event's stream, see
// [persistence.StreamID.Category]. A stream may have none.
func Category() CategoryField {
	return CategoryField{textField[string](field{property: categoryProperty})}
}

// Tag looks at the event's tags.
func Tag() TagField { return TagField{textField[string](field{property: tagProperty})} }

// Meta looks at one key of the event's metadata. Any key is a plain name: dots,
// quotes and the like mean nothing.
func Meta(key string) MetaField {
	at := field{property: metadataProperty, key: key}
	return MetaField{Field[persistence.Value]{at, metadataValue}}
}

// Field is a field whose values are equal or not.
type Field[T any] struct {
	at      field
	operand func(T) value
}

func (f Field[T]) leaf(op operator, operands ...T) Filter {
	values := make([]value, len(operands))
	for i, operand := range operands {
		values[i] = f.operand(operand)
	}
	return newLeaf(f.at, op, values)
}

// Eq holds for this value.
func (f Field[T]) Eq(operand T) Filter { return f.leaf(eq, operand) }

// Ne holds for every other value of the same kind.
func (f Field[T]) Ne(operand T) Filter { return f.leaf(ne, operand) }

// In holds for each of these values; they are of one kind.
func (f Field[T]) In(operands ...T) Filter { return f.leaf(in, operands...) }

// NotIn holds for every value of the same kind that is none of these, and without
// operands for every value.
func (f Field[T]) NotIn(operands ...T) Filter { return f.leaf(notIn, operands...) }

// OrderedField is a field whose values have an order.
type OrderedField[T any] struct{ Field[T] }

func orderedField[T any](at field, operand func(T) value) OrderedField[T] {
	return OrderedField[T]{Field[T]{at, operand}}
}

// Gt holds for greater values.
func (f OrderedField[T]) Gt(operand T) Filter { return f.leaf(gt, operand) }

// Ge holds for this and greater values.
func (f OrderedField[T]) Ge(operand T) Filter { return f.leaf(ge, operand) }

// Lt holds for smaller values.
func (f OrderedField[T]) Lt(operand T) Filter { return f.leaf(lt, operand) }

// Le holds for this and smaller values.
func (f OrderedField[T]) Le(operand T) Filter { return f.leaf(le, operand) }

// TextField is a field that holds text.
type TextField[T ~string] struct{ OrderedField[T] }

func textField[T ~string](at field) TextField[T] {
	return TextField[T]{orderedField(at, textValue[T])}
}

// Prefix holds for text that begins like this.
func (f TextField[T]) Prefix(beginning string) Filter { return f.leaf(prefix, T(beginning)) }

// Regex holds for text in which the pattern, in the syntax of RE2, matches
// anywhere; "^" and "$" anchor it.
func (f TextField[T]) Regex(pattern string) Filter { return f.leaf(matches, T(pattern)) }

// CategoryField is the category of a stream. No comparison holds for an event
// whose stream has none.
type CategoryField struct{ TextField[string] }

// Exists holds when the stream has a category.
func (f CategoryField) Exists() Filter { return f.leaf(exists) }

// TagField is an event's set of tags. To exclude a tag, negate: Not(Tag().Eq("x")).
type TagField struct{ text TextField[string] }

// Eq holds when the event has the tag.
func (f TagField) Eq(tag string) Filter { return f.text.Eq(tag) }

// In holds when the event has at least one of the tags.
func (f TagField) In(tags ...string) Filter { return f.text.In(tags...) }

// Prefix holds when one of the event's tags begins like this.
func (f TagField) Prefix(beginning string) Filter { return f.text.Prefix(beginning) }

// Regex holds when the pattern, in the syntax of RE2, matches anywhere in one of
// the event's tags.
func (f TagField) Regex(pattern string) Filter { return f.text.Regex(pattern) }

// Exists holds when the event has a tag.
func (f TagField) Exists() Filter { return f.text.leaf(exists) }

// MetaField is one key of an event's metadata. Its values may be of any kind,
// which can only be equal or not; [MetaField.Text], [MetaField.Int] and
// [MetaField.Float] say the kind and offer more.
type MetaField struct{ Field[persistence.Value] }

// Exists holds when the event has the key.
func (f MetaField) Exists() Filter { return f.leaf(exists) }

// Text compares with strings.
func (f MetaField) Text() TextField[string] { return textField[string](f.at) }

// Int compares with integers. Events that hold floats under the key compare too,
// exactly.
func (f MetaField) Int() OrderedField[int64] { return orderedField(f.at, integerValue[int64]) }

// Float compares with finite floats. Events that hold integers under the key
// compare too, exactly.
func (f MetaField) Float() OrderedField[float64] { return orderedField(f.at, floatValue) }
