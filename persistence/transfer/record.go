package transfer

import (
	"math"

	"github.com/stele-es/stele/persistence"
)

// formVersion is that of the form of files, in both formats.
const formVersion = 1

// record is a line of a file: one of its fields is set.
type record struct {
	header *header
	schema *schemaLine
	event  *persistence.Recorded // whose Schema is the number of a schemaLine
	stream *persistence.StreamInfo
	end    *ending
}

// header begins a part of a file.
type header struct {
	journal persistence.JournalID
	// after is the place behind which the events begin.
	after persistence.Positions
	// today says that the events are upcast, chosen that a filter has left some out,
	// archive that they are of one stream after the other.
	today, chosen, archive bool
}

// schemaLine describes payloads. Files number schemas anew, in the order of their
// use, because the ids of two journals differ.
type schemaLine struct {
	number int64
	// id is set when the journal has no description of it.
	id       persistence.SchemaID
	encoding persistence.Encoding
	body     []byte
}

// ending ends a part of a file.
type ending struct {
	events, streams, schemas int64
	next                     persistence.Positions
	digest                   string
}

var encodings = map[persistence.Encoding]string{persistence.Protobuf: "protobuf", persistence.JSON: "json"}

func (h *header) write(out []byte) []byte {
	o := newObject(out)
	o.number("stele", formVersion)
	o.text("journal", persistence.EventID(h.journal).String())
	o.positions("after", h.after)
	o.flag("today", h.today)
	o.flag("chosen", h.chosen)
	o.flag("archive", h.archive)
	return o.end()
}

func readHeader(m *members) *header {
	if version := m.number("stele", math.MaxInt32); version != formVersion {
		m.fail("stele", "is not a form that is known here")
	}
	return &header{
		journal: persistence.JournalID(m.id("journal")), after: m.positions("after"),
		today: m.flag("today"), chosen: m.flag("chosen"), archive: m.flag("archive"),
	}
}

func (s *schemaLine) write(out []byte) []byte {
	o := newObject(out)
	o.number("number", s.number)
	if s.id != 0 {
		o.number("id", int64(s.id))
		return o.end()
	}
	o.text("encoding", encodings[s.encoding])
	o.bytes("body", s.body)
	return o.end()
}

func readSchema(m *members) *schemaLine {
	s := &schemaLine{number: m.number("number", math.MaxInt32), id: persistence.SchemaID(m.number("id", math.MaxInt32))}
	if s.number == 0 {
		m.fail("number", "is not set")
	}
	if s.id != 0 {
		return s
	}
	switch m.text("encoding") {
	case encodings[persistence.Protobuf]:
		s.encoding = persistence.Protobuf
	case encodings[persistence.JSON]:
		s.encoding = persistence.JSON
	}
	s.body = m.bytes("body")
	if err := persistence.CheckSchema(s.encoding, s.body); err != nil && m.err == nil {
		m.err = err
	}
	return s
}

func writeStream(out []byte, info *persistence.StreamInfo) []byte {
	o := newObject(out)
	o.text("stream", string(info.Stream))
	o.number("version", int64(info.Version))
	o.number("first", int64(info.First))
	o.number("begin", int64(info.Begin))
	o.number("revision", int64(info.Revision))
	o.flag("deleted", info.Deleted)
	if metadata := persistence.EncodeMetadata(info.Metadata); metadata != nil {
		o.raw("metadata", metadata)
	}
	return o.end()
}

func readStream(m *members) *persistence.StreamInfo {
	info := &persistence.StreamInfo{
		Stream: persistence.StreamID(m.text("stream")), Version: persistence.Version(m.number("version", math.MaxInt64)),
		First: persistence.Version(m.number("first", math.MaxInt64)), Begin: persistence.Version(m.number("begin", math.MaxInt64)),
		Revision: persistence.Revision(m.number("revision", math.MaxInt64)), Deleted: m.flag("deleted"), Metadata: m.metadata("metadata"),
	}
	if err := info.Check(); err != nil && m.err == nil {
		m.err = err
	}
	return info
}

func (e *ending) write(out []byte) []byte {
	o := newObject(out)
	o.number("events", e.events)
	o.number("streams", e.streams)
	o.number("schemas", e.schemas)
	o.positions("next", e.next)
	o.text("sha256", e.digest)
	return o.end()
}

func readEnding(m *members) *ending {
	return &ending{
		events: m.number("events", math.MaxInt64), streams: m.number("streams", math.MaxInt64), schemas: m.number("schemas", math.MaxInt64),
		next: m.positions("next"), digest: m.text("sha256"),
	}
}

// unremarkable reports that events say all that there is to know of a stream.
func unremarkable(info *persistence.StreamInfo) bool {
	return info.Version > 0 && info.Begin == 1 && info.First == 1 && info.Revision == 0 && !info.Deleted
}

// known are the streams that files and copies must tell of.
func listed(choice *Choice) persistence.ListOptions {
	options := persistence.ListOptions{System: true, Deleted: true}
	if len(choice.Categories) == 1 && len(choice.Streams) == 0 {
		options.Category = choice.Categories[0]
	}
	if len(choice.Streams) == 1 && len(choice.Categories) == 0 {
		options.Name = string(choice.Streams[0])
	}
	return options
}
