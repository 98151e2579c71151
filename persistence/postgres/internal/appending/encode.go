package appending

import (
	"slices"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// encode writes the requests of the flight. The newest event that the link has
// stored proves what the flight's appends rest on.
func (f *flight) encode(r *wire.Requests, config *Config, newest proof) {
	for i := range f.calls {
		c := &f.calls[i]
		w := c.works[0]
		switch c.op {
		case opSingle:
			encodeSingle(r, config, w)
		case opLean:
			encodeLean(r, config, f, c.works, newest)
		case opExact:
			encodeExact(r, config, f, c.works)
		case opChecked:
			r.Bind(config.Statements.AppendChecked)
			EncodeOne(&r.Values, config.Journal, f.early, w.item, w.stream)
		case opAttempt:
			version, _ := w.item.Expected.Version()
			r.Bind(config.Statements.Attempt)
			r.Int8(w.stream.ID)
			r.Int8(int64(version))
			r.Int8(int64(version) + int64(len(w.item.Events)))
		case opSearch:
			r.Bind(config.Statements.Search)
			r.Int8(w.stream.ID)
			r.Data(w.item.Events[0].ID[:])
			r.Int8(w.below)
		case opHead:
			r.Bind(config.Statements.StreamByName)
			r.Text(string(w.item.Stream))
			EncodeProof(&r.Values, config.Journal, nil)
		}
		r.Execute()
	}
	r.Sync()
	if f.flush {
		r.Bind(config.Statements.Flush)
		r.Execute()
		r.Sync()
	}
}

// encodeSingle writes the call of append_single.
func encodeSingle(r *wire.Requests, config *Config, w *work) {
	e := &w.item.Events[0]
	r.Bind(config.Statements.AppendSingle)
	r.Int2(Partition)
	r.Int4(int32(e.Schema))
	r.Int8(w.stream.ID)
	r.Int8(int64(w.item.Expected) + 1)
	r.Data(e.ID[:])
	r.Text(e.Type)
	r.Data(e.Payload)
	r.Data(e.Headers)
	encodeMetadata(&r.Values, e.Metadata)
	encodeTags(&r.Values, e.Tags)
	EncodeProof(&r.Values, config.Journal, w.stream)
}

// encodeLean writes the call of append_lean: its 19 arguments in their order, and the
// proof of the statement. Columns that no event has are left out.
func encodeLean(r *wire.Requests, config *Config, f *flight, works []*work, newest proof) {
	r.Bind(config.Statements.AppendLean)
	c := columnsOf(&r.Values, works)
	r.Int2(Partition)
	r.Bool(f.early)
	r.Int8(newest.position)
	r.Data(newest.id[:])
	r.Int8(f.before.stream)
	r.Int8(f.before.version)
	r.Data(f.before.id[:])
	c.unprovenStreams()
	c.unprovenVersions()
	r.Int4(int32(c.schema))
	c.streams()
	c.versions()
	c.ids()
	c.types()
	c.payloads()
	c.only(c.someHeaders).headers()
	c.only(c.someMetadata).metadata(wire.TypeJSON)
	c.only(c.someTags).tags()
	c.only(c.otherSchemas).schemas()
	EncodeProof(&r.Values, config.Journal, highest(works))
}

// encodeExact writes the call of append.
func encodeExact(r *wire.Requests, config *Config, f *flight, works []*work) {
	r.Bind(config.Statements.AppendExact)
	c := columnsOf(&r.Values, works)
	r.Int2(Partition)
	r.Bool(f.early)
	c.streams()
	c.expected()
	c.versions()
	c.events()
	EncodeProof(&r.Values, config.Journal, highest(works))
}

// EncodeOne writes the arguments of append_checked and append_strict, which store one append
// with any expectation. Whoever releases the order lock early flushes behind it.
func EncodeOne(v *wire.Values, journal persistence.JournalID, early bool, item *appender.Item, stream *streamids.Stream) {
	v.Int2(Partition)
	v.Bool(early)
	v.Int8(stream.ID)
	v.Int8(int64(item.Expected))
	v.Bool(item.Named)
	EncodeEvents(v, item.Events)
	EncodeProof(v, journal, stream)
}

// EncodeEvents writes the columns of events that the functions for any append and for imports
// take.
func EncodeEvents(v *wire.Values, events []persistence.Event) {
	columnsOf(v, []*work{{item: &appender.Item{Append: persistence.Append{Events: events}}}}).events()
}

// EncodeProof writes the last parameters of a statement: the id of the journal, and the stream
// with the highest id that the statement rests on, nil for none.
func EncodeProof(v *wire.Values, journal persistence.JournalID, s *streamids.Stream) {
	v.Data(journal[:])
	if s == nil {
		v.Int8(0)
		v.Text("")
		return
	}
	v.Int8(s.ID)
	v.Text(string(s.Name))
}

// highest is the stream of the works with the highest id.
func highest(works []*work) *streamids.Stream {
	highest := works[0].stream
	for _, w := range works {
		if w.stream.ID > highest.ID {
			highest = w.stream
		}
	}
	return highest
}

// columns writes the events of some appends as arrays, one for each column.
type columns struct {
	*wire.Values
	works []*work
	count int // of the events
	// unproven counts the appends for which the server looks for the event before.
	unproven int

	// schema is that of the first event; otherSchemas says that not all have it.
	schema       persistence.SchemaID
	otherSchemas bool
	// The columns that some events have.
	someHeaders, someMetadata, someTags bool
}

func columnsOf(v *wire.Values, works []*work) columns {
	c := columns{Values: v, works: works, schema: works[0].item.Events[0].Schema}
	for _, w := range works {
		c.count += len(w.item.Events)
		if !w.proven {
			c.unproven++
		}
		for i := range w.item.Events {
			e := &w.item.Events[i]
			c.otherSchemas = c.otherSchemas || e.Schema != c.schema
			c.someHeaders = c.someHeaders || len(e.Headers) > 0
			c.someMetadata = c.someMetadata || len(e.Metadata) > 0
			c.someTags = c.someTags || len(e.Tags) > 0
		}
	}
	return c
}

// only is the columns of no event unless one is needed.
func (c columns) only(needed bool) columns {
	if !needed {
		c.works, c.count = nil, 0
	}
	return c
}

// events writes the columns that append and append_checked take.
func (c columns) events() {
	c.ids()
	c.schemas()
	c.types()
	c.payloads()
	c.headers()
	c.metadata(wire.TypeText)
	c.tags()
}

func (c columns) streams() {
	c.each(wire.TypeInt8, func(w *work, _ int, _ *persistence.Event) { c.Int8(w.stream.ID) })
}

func (c columns) expected() {
	c.each(wire.TypeInt8, func(w *work, _ int, _ *persistence.Event) { c.Int8(int64(w.item.Expected)) })
}

func (c columns) versions() {
	c.each(wire.TypeInt8, func(w *work, i int, _ *persistence.Event) { c.Int8(int64(w.item.Expected) + int64(i) + 1) })
}

func (c columns) ids() {
	c.each(wire.TypeUUID, func(_ *work, _ int, e *persistence.Event) { c.Data(e.ID[:]) })
}

func (c columns) schemas() {
	c.each(wire.TypeInt4, func(_ *work, _ int, e *persistence.Event) { c.Int4(int32(e.Schema)) })
}

func (c columns) types() {
	c.each(wire.TypeText, func(_ *work, _ int, e *persistence.Event) { c.Text(e.Type) })
}

func (c columns) payloads() {
	c.each(wire.TypeBytea, func(_ *work, _ int, e *persistence.Event) { c.Data(e.Payload) })
}

func (c columns) headers() {
	c.each(wire.TypeBytea, func(_ *work, _ int, e *persistence.Event) { c.Data(e.Headers) })
}

// metadata writes metadata as text or as json, which differ by their types only.
func (c columns) metadata(element wire.Type) {
	c.each(element, func(_ *work, _ int, e *persistence.Event) { encodeMetadata(c.Values, e.Metadata) })
}

func (c columns) tags() {
	c.each(wire.TypeText, func(_ *work, _ int, e *persistence.Event) { encodeTags(c.Values, e.Tags) })
}

func encodeMetadata(v *wire.Values, metadata persistence.Metadata) {
	if len(metadata) == 0 {
		v.Null()
		return
	}
	v.Append(func(to []byte) []byte { return persistence.AppendMetadata(to, metadata) })
}

// encodeTags writes a set of tags as one text, sorted so that equal sets are equal in the
// server. A tag holds no control character, so a line feed can stand between two.
func encodeTags(v *wire.Values, tags []string) {
	if len(tags) == 0 {
		v.Null()
		return
	}
	v.Append(func(to []byte) []byte {
		for i, tag := range slices.Sorted(slices.Values(tags)) {
			if i > 0 {
				to = append(to, '\n')
			}
			to = append(to, tag...)
		}
		return to
	})
}

// each writes an array with a value for each event.
func (c columns) each(element wire.Type, value func(w *work, i int, e *persistence.Event)) {
	start := c.Array(element, c.count)
	for _, w := range c.works {
		for i := range w.item.Events {
			value(w, i, &w.item.Events[i])
		}
	}
	c.EndArray(start)
}

// unprovenStreams and unprovenVersions write the events before those appends for which the
// server has to look.

func (c columns) unprovenStreams() { c.eachUnproven(func(w *work) { c.Int8(w.stream.ID) }) }

func (c columns) unprovenVersions() { c.eachUnproven(func(w *work) { c.Int8(int64(w.item.Expected)) }) }

func (c columns) eachUnproven(value func(w *work)) {
	start := c.Array(wire.TypeInt8, c.unproven)
	for _, w := range c.works {
		if !w.proven {
			value(w)
		}
	}
	c.EndArray(start)
}
