package postgres

import "github.com/stele-es/stele/persistence"

// encode writes the requests of the flight.
func (f *flight) encode(m *message) {
	for i := range f.calls {
		c := &f.calls[i]
		w := c.works[0]
		switch c.op {
		case opExact:
			encodeExact(m, c.works)
		case opChecked:
			encodeChecked(m, w)
		case opAttempt:
			version, _ := w.item.Expected.Version()
			m.bind(nameAttempt, 3)
			m.int8(w.stream)
			m.int8(int64(version))
			m.int8(int64(version) + int64(len(w.item.Events)))
			m.endBind()
		case opSearch:
			m.bind(nameSearch, 3)
			m.int8(w.stream)
			m.bytes(w.item.Events[0].ID[:])
			m.int8(w.below)
			m.endBind()
		case opHead:
			m.bind(nameVersion, 1)
			m.string(string(w.item.Stream))
			m.endBind()
		}
	}
	m.sync()
}

func encodeExact(m *message, works []*work) {
	n := 0
	for _, w := range works {
		n += len(w.item.Events)
	}
	m.bind(nameExact, 11)
	m.int2(partition)
	start := m.array(oidInt8, n)
	for _, w := range works {
		for range w.item.Events {
			m.int8(w.stream)
		}
	}
	m.endArray(start)
	start = m.array(oidInt8, n)
	for _, w := range works {
		for range w.item.Events {
			m.int8(int64(w.item.Expected))
		}
	}
	m.endArray(start)
	start = m.array(oidInt8, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.int8(int64(w.item.Expected) + int64(i) + 1)
		}
	}
	m.endArray(start)
	encodeEvents(m, works, n)
	m.endBind()
}

func encodeChecked(m *message, w *work) {
	m.bind(nameChecked, 11)
	checkedParameters(m, w)
	m.endBind()
}

func checkedParameters(m *message, w *work) {
	m.int2(partition)
	m.int8(w.stream)
	m.int8(int64(w.item.Expected))
	m.bool(w.item.Named)
	encodeEvents(m, []*work{w}, len(w.item.Events))
}

// encodeEvents writes the columns that both functions take: id, schema, type,
// payload, headers, metadata, tags.
func encodeEvents(m *message, works []*work, n int) {
	start := m.array(oidUUID, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.bytes(w.item.Events[i].ID[:])
		}
	}
	m.endArray(start)
	start = m.array(oidInt4, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.int4(int32(w.item.Events[i].Schema))
		}
	}
	m.endArray(start)
	start = m.array(oidText, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.string(w.item.Events[i].Type)
		}
	}
	m.endArray(start)
	start = m.array(oidBytea, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.bytes(w.item.Events[i].Payload)
		}
	}
	m.endArray(start)
	start = m.array(oidBytea, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.bytes(w.item.Events[i].Headers)
		}
	}
	m.endArray(start)
	start = m.array(oidText, n)
	for _, w := range works {
		for i := range w.item.Events {
			if metadata := persistence.EncodeMetadata(w.item.Events[i].Metadata); metadata != nil {
				m.bytes(metadata)
			} else {
				m.null()
			}
		}
	}
	m.endArray(start)
	start = m.array(oidText, n)
	for _, w := range works {
		for i := range w.item.Events {
			m.tags(w.item.Events[i].Tags)
		}
	}
	m.endArray(start)
}
