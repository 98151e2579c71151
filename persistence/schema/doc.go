// Package schema describes events to those who do not have the program that wrote
// them, and tells a program whether it can still read what is stored.
//
// A node registers what its events look like when it starts, and each event
// carries the id of its description. So any tool reads any event:
//
//	decoder := schema.NewDecoder(journal)
//	decoded, err := decoder.Decode(ctx, &recorded.Event)
//	fmt.Println(string(decoded.JSON))
//
// and a build can be held to what the journal holds before it goes into production:
//
//	findings, err := schema.Check(ctx, journal, schema.Program{Events: actors.Events(Accounts), Upcasters: chain})
//
// [Check] counts the events of the journal, so it is for a build and not for a start. A
// start reads descriptions alone, see [Catalogue.Check]: programs note in the journal
// what they know of each kind, and when the first event of a type is stored, or the first
// command of a type is sent to be read later. These notes stand among the schemas of the
// journal, as JSON with a title that begins with "$stele.". [LookThrough] finds once the
// types that were stored before programs noted them. [NoteEvents] notes types that are
// imported from another journal, as package transfer does. Commands that were sent
// elsewhere are not noted by it.
//
// The messages of a protobuf package are described by one FileDescriptorSet, with
// all they import and without comments; a plain struct by the JSON Schema of what
// encoding/json writes for it. The same types always give the same bytes, and so
// the same schema in a journal.
//
// The package knows no journal, and nothing about who uses the events.
package schema
