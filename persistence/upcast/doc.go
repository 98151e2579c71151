// Package upcast reads events that were stored in an old form as what they are
// today. Nothing is written: the journal keeps what happened as it was said then.
//
//	chain, err := upcast.New(
//		upcast.Rename("account.opened", "bank.v1.Opened"),
//		upcast.Drop("account.viewed"),
//		upcast.Map(func(old *bankv1.Moved) (*bankv2.Moved, error) { … }),
//		upcast.Upcaster{From: "bank.v1.Transferred", To: []string{"bank.v2.Withdrawn", "bank.v2.Deposited"}, Upcast: split},
//	)
//	for recorded, err := range upcast.Reader(journal, chain).Read(ctx, stream, options) { … }
//
// An upcaster turns one event of a type into none, one or several. The events that it
// yields go through the upcasters of their types in turn, until there are none: so each
// step of a history is said once, from the form before to the one after it. All types
// that an upcaster may yield are declared; therefore a chain ends, and one that would not
// is refused when it is made.
//
// Several upcasters of one type are applied in the order in which they are given.
// The ones before the last keep the type; an upcaster that keeps the type also
// sees the events that were stored in the new form under the old name, and has to
// tell them apart, by [Raw.Schema] for example.
//
// Upcast events have the id, stream, version, position, headers, tags and time of the
// stored event. When it is several, [persistence.Recorded] numbers them by Sub and
// SubCount. They stay together: no page ends between them, and a place in the journal is
// before or behind all of them. A reader with at-least-once delivery that stops between
// them recognises them by id and Sub.
//
// A runtime that checks versions reads the journal as it is and asks
// [Chain.Upcast] for each event, because an event that is dropped has a version
// too. Everybody else reads through [Reader].
//
// The package knows no journal, and nothing about who uses the events.
package upcast
