package postgres

import "github.com/stele-es/stele/persistence"

// encode writes the requests of the flight. The newest event that the link has
// stored proves what the flight's appends rest on.
func (f *flight) encode(m *message, j *Journal, newest proof) {
	for i := range f.calls {
		c := &f.calls[i]
		w := c.works[0]
		switch c.op {
		case opLean:
			encodeLean(m, j, f, c.works, newest)
		case opExact:
			encodeExact(m, j, f, c.works)
		case opChecked:
			encodeChecked(m, j, f, w)
		case opAttempt:
			version, _ := w.item.Expected.Version()
			m.bind(j.sql.attempt, 3)
			m.int8(w.stream.id)
			m.int8(int64(version))
			m.int8(int64(version) + int64(len(w.item.Events)))
			m.endBind()
		case opSearch:
			m.bind(j.sql.search, 3)
			m.int8(w.stream.id)
			m.bytes(w.item.Events[0].ID[:])
			m.int8(w.below)
			m.endBind()
		case opHead:
			m.bind(j.sql.streamByName, 4)
			m.string(string(w.item.Stream))
			encodeProof(m, j, nil)
			m.endBind()
		}
	}
	m.sync()
	if f.flush {
		m.bind(j.sql.flush, 0)
		m.endBind()
		m.sync()
	}
}

func encodeExact(m *message, j *Journal, f *flight, works []*work) {
	n := 0
	for _, w := range works {
		n += len(w.item.Events)
	}
	m.bind(j.sql.appendExact, 15)
	m.int2(partition)
	m.bool(f.early)
	encodeStreams(m, works, n)
	start := m.array(oidInt8, n)
	for _, w := range works {
		for range w.item.Events {
			m.int8(int64(w.item.Expected))
		}
	}
	m.endArray(start)
	encodeVersions(m, works, n)
	encodeEvents(m, works, n)
	encodeProof(m, j, highest(works))
	m.endBind()
}

func encodeChecked(m *message, j *Journal, f *flight, w *work) {
	m.bind(j.sql.appendChecked, 15)
	checkedParameters(m, j, f.early, w)
	m.endBind()
}

// checkedParameters are those of the function that takes any expectation. Who
// releases the order lock early flushes behind it.
func checkedParameters(m *message, j *Journal, early bool, w *work) {
	m.int2(partition)
	m.bool(early)
	m.int8(w.stream.id)
	m.int8(int64(w.item.Expected))
	m.bool(w.item.Named)
	encodeEvents(m, []*work{w}, len(w.item.Events))
	encodeProof(m, j, w.stream)
}

// encodeEvents writes the columns that the exact function and the one for any
// expectation take.
func encodeEvents(m *message, works []*work, n int) {
	encodeIDs(m, works, n)
	encodeSchemas(m, works, n)
	encodeTypes(m, works, n)
	encodePayloads(m, works, n)
	encodeHeaders(m, works, n)
	encodeMetadata(m, works, n, oidText)
	encodeTags(m, works, n)
}

// encodeProof writes the last parameters of a statement, see [Journal.proof].
func encodeProof(m *message, j *Journal, s *stream) {
	m.bytes(j.id[:])
	if s == nil {
		m.int8(0)
		m.string("")
		return
	}
	m.int8(s.id)
	m.string(string(s.name))
}

// highest is the stream of the works with the highest id.
func highest(works []*work) *stream {
	highest := works[0].stream
	for _, w := range works {
		if w.stream.id > highest.id {
			highest = w.stream
		}
	}
	return highest
}

// The writers of columns write an array of n elements: one for each event, or none
// when n is 0.

func encodeStreams(m *message, works []*work, n int) {
	column(m, works, n, oidInt8, func(w *work, _ int, _ *persistence.Event) { m.int8(w.stream.id) })
}

func encodeVersions(m *message, works []*work, n int) {
	column(m, works, n, oidInt8, func(w *work, i int, _ *persistence.Event) { m.int8(int64(w.item.Expected) + int64(i) + 1) })
}

func encodeIDs(m *message, works []*work, n int) {
	column(m, works, n, oidUUID, func(_ *work, _ int, e *persistence.Event) { m.bytes(e.ID[:]) })
}

func encodeSchemas(m *message, works []*work, n int) {
	column(m, works, n, oidInt4, func(_ *work, _ int, e *persistence.Event) { m.int4(int32(e.Schema)) })
}

func encodeTypes(m *message, works []*work, n int) {
	column(m, works, n, oidText, func(_ *work, _ int, e *persistence.Event) { m.string(e.Type) })
}

func encodePayloads(m *message, works []*work, n int) {
	column(m, works, n, oidBytea, func(_ *work, _ int, e *persistence.Event) { m.bytes(e.Payload) })
}

func encodeHeaders(m *message, works []*work, n int) {
	column(m, works, n, oidBytea, func(_ *work, _ int, e *persistence.Event) { m.bytes(e.Headers) })
}

// encodeMetadata writes metadata as text or as json, which differ by their names.
func encodeMetadata(m *message, works []*work, n int, oid uint32) {
	column(m, works, n, oid, func(_ *work, _ int, e *persistence.Event) {
		m.metadata(e.Metadata)
	})
}

func encodeTags(m *message, works []*work, n int) {
	column(m, works, n, oidText, func(_ *work, _ int, e *persistence.Event) { m.tags(e.Tags) })
}

func column(m *message, works []*work, n int, oid uint32, write func(w *work, i int, e *persistence.Event)) {
	start := m.array(oid, n)
	if n > 0 {
		for _, w := range works {
			for i := range w.item.Events {
				write(w, i, &w.item.Events[i])
			}
		}
	}
	m.endArray(start)
}
