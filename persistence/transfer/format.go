package transfer

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Format is how the lines of a file are written.
type Format uint8

const (
	// NDJSON is the journal's own form:
	//
	//	{"event":{"position":7,"stream":"account-ann","version":2,"id":"…","time":"…","type":"deposited","data":{"cents":30}}}
	//
	// A payload that is JSON stands there as it is, any other in base64.
	NDJSON Format = iota
	// CloudEvents is one event of CloudEvents 1.0 in structured mode in each line. The
	// id is the event's, the source its stream, the sequence its position. What
	// CloudEvents has no attribute for stands in extensions: streamversion, those that
	// begin with stele, and correlationid, causationid and traceparent, which are read
	// out of the headers that the runtime writes. Lines that are no event of a stream
	// have the journal as their source.
	CloudEvents
)

// write appends a line of a record that is no event.
func (f Format) write(out []byte, kind string, journal persistence.JournalID, body func([]byte) []byte) []byte {
	o := newObject(out)
	if f == NDJSON {
		o.key(kind)
		o.out = body(o.out)
		return append(o.end(), '\n')
	}
	id := persistence.EventID(journal).String()
	o.text("specversion", "1.0")
	o.text("id", kind)
	o.text("source", journalSource+id)
	o.text("type", "$"+kind)
	o.text("datacontenttype", "application/json")
	o.key("data")
	o.out = body(o.out)
	return append(o.end(), '\n')
}

// The beginnings of the sources of events and of other lines.
const (
	streamSource  = "/streams/"
	journalSource = "/journals/"
)

// writeEvent appends the line of an event. number is that of its schema in the
// file, asJSON that its payload may be JSON.
func (f Format) writeEvent(out []byte, e *persistence.Recorded, number int64, encoding persistence.Encoding) []byte {
	o := newObject(out)
	if f == NDJSON {
		o.key("event")
		inner := newObject(o.out)
		inner.event(e, number, encoding)
		o.out = inner.end()
	} else {
		o.cloudEvent(e, number, encoding)
	}
	return append(o.end(), '\n')
}

func (o *object) event(e *persistence.Recorded, number int64, encoding persistence.Encoding) {
	o.number("position", e.Position.Offset)
	if e.Position.Part != 0 {
		o.number("partition", int64(e.Position.Part))
	}
	o.text("stream", string(e.Stream))
	o.number("version", int64(e.Version))
	o.text("id", e.ID.String())
	o.time("time", e.At)
	o.text("type", e.Type)
	if number != 0 {
		o.number("schema", number)
	}
	o.flag("named", e.Named)
	if e.SubCount != 0 {
		o.number("sub", int64(e.Sub))
		o.number("subs", int64(e.SubCount))
	}
	if len(e.Tags) > 0 {
		o.texts("tags", sorted(e.Tags))
	}
	if metadata := persistence.EncodeMetadata(e.Metadata); metadata != nil {
		o.raw("metadata", metadata)
	}
	if len(e.Headers) > 0 {
		o.bytes("headers", e.Headers)
	}
	o.payload(e.Payload, encoding, "payload")
}

func (o *object) payload(payload []byte, encoding persistence.Encoding, otherwise string) {
	switch {
	case len(payload) == 0:
	case encoding != persistence.Protobuf && isJSON(payload):
		o.raw("data", payload)
	default:
		o.bytes(otherwise, payload)
	}
}

// sorted is the one order of a set of tags.
func sorted(tags []string) []string { return slices.Sorted(slices.Values(tags)) }

func (o *object) cloudEvent(e *persistence.Recorded, number int64, encoding persistence.Encoding) {
	o.text("specversion", "1.0")
	id := e.ID.String()
	if e.SubCount != 0 {
		id += fmt.Sprintf(".%d", e.Sub)
	}
	o.text("id", id)
	o.text("source", streamSource+url.PathEscape(string(e.Stream)))
	o.text("type", e.Type)
	o.text("subject", string(e.Stream))
	o.time("time", e.At)
	o.text("sequence", fmt.Sprintf("%019d", e.Position.Offset))
	if e.Position.Part != 0 {
		o.number("stelepartition", int64(e.Position.Part))
	}
	// An integer of CloudEvents has 32 bits.
	o.text("streamversion", strconv.FormatUint(uint64(e.Version), 10))
	if number != 0 {
		o.number("steleschema", number)
	}
	o.flag("stelenamed", e.Named)
	if e.SubCount != 0 {
		o.number("stelesub", int64(e.Sub))
		o.number("stelesubs", int64(e.SubCount))
	}
	if len(e.Tags) > 0 {
		list := object{}
		list.out = append(list.out, '{') // for the comma
		list.texts("t", sorted(e.Tags))
		o.text("steletags", string(list.out[len(`{"t":`):]))
	}
	if metadata := persistence.EncodeMetadata(e.Metadata); metadata != nil {
		o.text("stelemetadata", string(metadata))
	}
	if len(e.Headers) > 0 {
		o.bytes("steleheaders", e.Headers)
		o.origin(e.Headers)
	}
	switch {
	case len(e.Payload) == 0:
	case encoding == persistence.Protobuf:
		o.text("datacontenttype", "application/protobuf")
	case isJSON(e.Payload):
		o.text("datacontenttype", "application/json")
	default:
		o.text("datacontenttype", "application/octet-stream")
	}
	o.payload(e.Payload, encoding, "data_base64")
}

// origin shows what the runtime's headers say of where an event comes from.
// Headers of others say nothing.
func (o *object) origin(headers []byte) {
	var known stelev1.Headers
	if proto.Unmarshal(headers, &known) != nil {
		return
	}
	show := func(key string, id []byte) {
		if len(id) == len(persistence.EventID{}) {
			o.text(key, persistence.EventID(id).String())
		}
	}
	show("correlationid", known.GetCorrelationId())
	show("causationid", known.GetCausationId())
	if trace := known.GetTraceparent(); trace != "" && utf8.ValidString(trace) {
		o.text("traceparent", trace)
	}
}

// decode reads a line, whichever format it has.
func decode(line []byte) (record, error) {
	m, err := parse(line)
	if err != nil {
		return record{}, err
	}
	var r record
	if _, cloud := m.raw["specversion"]; cloud {
		r = readCloudEvent(m)
	} else {
		r = readNative(m)
	}
	return r, m.end()
}

func readNative(m *members) (r record) {
	for kind := range m.raw {
		inner := m.inside(kind)
		if m.err != nil {
			return r
		}
		if kind == "event" {
			r.event = readEvent(inner)
		} else {
			r.readBody(m, kind, inner)
		}
		if err := inner.end(); err != nil && m.err == nil {
			m.err = err
		}
		return r // what else there is, is not known
	}
	m.fail("line", "is empty")
	return r
}

// readBody reads what the formats have in common.
func (r *record) readBody(m *members, kind string, body *members) {
	switch kind {
	case "header":
		r.header = readHeader(body)
	case "schema":
		r.schema = readSchema(body)
	case "stream":
		r.stream = readStream(body)
	case "end":
		r.end = readEnding(body)
	default:
		m.fail("line", "is of a kind that is not known")
	}
}

func readEvent(m *members) *persistence.Recorded {
	e := &persistence.Recorded{
		Position: persistence.Position{Offset: m.number("position", math.MaxInt64), Part: uint16(m.number("partition", math.MaxUint16))},
		Stream:   persistence.StreamID(m.text("stream")), Version: persistence.Version(m.number("version", math.MaxInt64)),
		At: m.time("time"), Named: m.flag("named"),
		Sub: uint16(m.number("sub", math.MaxUint16)), SubCount: uint16(m.number("subs", math.MaxUint16)),
		Event: persistence.Event{
			ID: m.id("id"), Type: m.text("type"), Schema: persistence.SchemaID(m.number("schema", math.MaxInt32)),
			Tags: m.texts("tags"), Metadata: m.metadata("metadata"), Headers: m.bytes("headers"),
		},
	}
	e.Payload = m.payload("payload")
	m.check(e)
	return e
}

func (m *members) payload(otherwise string) []byte {
	data, encoded := m.take("data"), m.raw[otherwise] != nil
	if data != nil && encoded {
		m.fail("data", "stands beside "+otherwise)
	}
	if data != nil {
		return data
	}
	return m.bytes(otherwise)
}

// check looks for what no journal has stored.
func (m *members) check(e *persistence.Recorded) {
	if m.err != nil {
		return
	}
	if e.Position.Offset == 0 {
		m.fail("position", "is not set")
		return
	}
	stored := *e
	stored.Sub, stored.SubCount = 0, 0
	if e.SubCount > 0 && e.Sub >= e.SubCount {
		m.fail("sub", "is out of range")
		return
	}
	m.err = stored.Check()
}

func readCloudEvent(m *members) (r record) {
	if m.text("specversion") != "1.0" {
		m.fail("specversion", "is not 1.0")
	}
	source := m.text("source")
	if strings.HasPrefix(source, journalSource) {
		_ = m.text("id")
		_ = m.text("datacontenttype")
		kind, ours := strings.CutPrefix(m.text("type"), "$")
		body := m.inside("data")
		if !ours || body == nil {
			m.fail("type", "is not one that a journal is the source of")
			return r
		}
		r.readBody(m, kind, body)
		if err := body.end(); err != nil && m.err == nil {
			m.err = err
		}
		return r
	}
	r.event = readCloud(m, source)
	return r
}

func readCloud(m *members, source string) *persistence.Recorded {
	e := &persistence.Recorded{
		Stream: persistence.StreamID(m.text("subject")), Version: persistence.Version(m.digits("streamversion")),
		Position: persistence.Position{Offset: m.digits("sequence"), Part: uint16(m.number("stelepartition", math.MaxUint16))},
		At:       m.time("time"), Named: m.flag("stelenamed"),
		Sub: uint16(m.number("stelesub", math.MaxUint16)), SubCount: uint16(m.number("stelesubs", math.MaxUint16)),
		Event: persistence.Event{
			Type: m.text("type"), Schema: persistence.SchemaID(m.number("steleschema", math.MaxInt32)), Headers: m.bytes("steleheaders"),
		},
	}
	id := m.text("id")
	if e.SubCount != 0 {
		id = strings.TrimSuffix(id, fmt.Sprintf(".%d", e.Sub))
	}
	var err error
	if e.ID, err = persistence.ParseEventID(id); err != nil {
		m.fail("id", "is not that of an event")
	}
	if source != streamSource+url.PathEscape(string(e.Stream)) {
		m.fail("source", "is not the stream that is the subject")
	}
	e.Tags, e.Metadata = m.encoded()
	for _, shown := range []string{"datacontenttype", "correlationid", "causationid", "traceparent"} {
		_ = m.text(shown) // it is told by what else stands there
	}
	e.Payload = m.payload("data_base64")
	m.check(e)
	return e
}

// digits is a number that stands in a text, 0 when it is missing.
func (m *members) digits(key string) int64 {
	text := m.text(key)
	n, err := strconv.ParseInt(text, 10, 64)
	if text == "" || err != nil || n < 0 {
		m.fail(key, "is not a number")
	}
	return n
}

// encoded reads tags and metadata, which are JSON inside of a text.
func (m *members) encoded() ([]string, persistence.Metadata) {
	inner := &members{raw: map[string]json.RawMessage{}}
	for _, key := range []string{"steletags", "stelemetadata"} {
		text := m.text(key)
		if text != "" && !json.Valid([]byte(text)) {
			m.fail(key, "is not JSON")
			return nil, nil
		}
		if text != "" {
			inner.raw[key] = json.RawMessage(text)
		}
	}
	tags, metadata := inner.texts("steletags"), inner.metadata("stelemetadata")
	if inner.err != nil && m.err == nil {
		m.err = inner.err
	}
	return tags, metadata
}
