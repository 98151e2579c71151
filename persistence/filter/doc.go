// Package filter says which recorded events are meant, as a value: built by
// typed constructors, evaluated here on every journal alike, and written as JSON
// to travel or to be stored.
//
//	deposits := filter.Type().In("deposited", "transferred").
//		And(filter.Meta("tenant").Text().Eq("acme")).
//		And(filter.Not(filter.Tag().Eq("test")))
//
//	deposits.Match(&recorded)
//
// A leaf compares one field of an event with operands. The constructors offer only what
// makes sense for a field, so a regular expression on a version does not compile. A fault
// that a compiler cannot see (a pattern that is not RE2, too deep a tree) makes the
// filter invalid; [Filter.Check] tells, and every filter made from an invalid one stays
// invalid. [Text] and [Filter.UnmarshalJSON] build filters from the input of others and
// refuse with the same errors.
//
// # What a leaf means
//
//   - A leaf holds only when the event has the field: metadata with the key, a
//     stream with a category, at least one tag. So Ne and NotIn do not hold
//     for an event without the key. [Not] is plain negation, and does.
//   - Only values of one kind compare: text, number, truth value, time, id.
//     A leaf never holds for a value of another kind and nothing is converted:
//     the text "5" is not the number 5. Integers and floats are both numbers and
//     compare by their exact mathematical value: 2^53+1 is not 2^53.
//   - Text compares bytewise, also for order, without normalisation. A regular
//     expression is RE2 and holds when it matches anywhere in the text.
//   - Time compares in microseconds, as journals store it; operands are cut.
//   - An event has a set of tags; a leaf on tags holds when any of them satisfies
//     it. There is no Ne on tags, which would ask for any other tag: use [Not].
//   - In without operands holds for no event, NotIn without operands for every
//     event that has the field.
//
// # Journals
//
// [Filter.Match] decides on every journal. [Filter.Necessary] is the part that a journal
// can look up in its indexes beforehand: conditions, as data, that every matching event
// satisfies. It may let through too much and never holds back a match, so a journal that
// ignores it gives the same answers, later.
//
// The package knows no journal and no SQL.
package filter
