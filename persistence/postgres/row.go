package postgres

import (
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// rows turns result rows into events. What the driver hands over is only valid
// until the next row, so the bytes move to chunks that many events share.
type rows struct {
	events  []persistence.Recorded
	numbers []int64 // of each row the column behind the event's, where there is one
	sizes   []int   // of each row
	bytes   int     // of all rows
	chunk   []byte
	types   map[string]string
}

const chunkSize = 32 << 10

// newRows returns rows with room for so many.
func newRows(count int) *rows {
	return &rows{events: make([]persistence.Recorded, 0, count), numbers: make([]int64, 0, count), sizes: make([]int, 0, count)}
}

// add decodes a row of one of the read statements. What comes without its bytes,
// because it cannot match, has no type. The last column is the id of the row's
// stream, or the first version that can be read of the given one; behind it may
// stand whether the event's id is a key.
func (r *rows) add(stream persistence.StreamID, row [][]byte) error {
	version, ok1 := wire.ReadInt8(row[0])
	position, ok2 := wire.ReadInt8(row[1])
	at, ok3 := wire.ReadTime(row[2])
	schema, ok4 := wire.ReadInt4(row[4])
	if !ok1 || !ok2 || !ok3 || !ok4 || len(row[3]) != 16 {
		return &persistence.CorruptError{Stream: stream, Reason: errUndecodable.Error()}
	}
	e := persistence.Recorded{
		Stream: stream, Version: persistence.Version(version), At: at,
		Position: persistence.Position{Part: partition, Offset: position},
	}
	e.ID = persistence.EventID(row[3])
	e.Schema = persistence.SchemaID(schema)
	e.Type = r.typeOf(row[5])
	e.Payload, e.Headers = r.keep(row[6]), r.keep(row[7])
	var err error
	if e.Metadata, err = persistence.DecodeMetadata(row[8]); err != nil {
		return &persistence.CorruptError{Stream: stream, Version: e.Version, Reason: "its metadata cannot be decoded", Err: err}
	}
	tags, ok := wire.ReadArray(row[9], wire.TypeText)
	if !ok {
		return &persistence.CorruptError{Stream: stream, Version: e.Version, Reason: "its tags cannot be decoded"}
	}
	if len(tags) > 0 {
		e.Tags = make([]string, len(tags))
		for i, tag := range tags {
			e.Tags[i] = string(tag)
		}
	}
	if len(row) > 10 {
		id, ok := wire.ReadInt8(row[10])
		if !ok {
			return &persistence.CorruptError{Stream: stream, Version: e.Version, Reason: errUndecodable.Error()}
		}
		r.numbers = append(r.numbers, id)
	}
	if len(row) > 11 { // NULL unless the id is a key
		e.Named = len(row[11]) == 1 && row[11][0] == 1
	}
	size := rowSize(row)
	r.sizes, r.bytes = append(r.sizes, size), r.bytes+size
	r.events = append(r.events, e)
	return nil
}

// rowSize is what a row counts against the bytes of a page.
func rowSize(row [][]byte) int {
	return 100 + len(row[5]) + len(row[6]) + len(row[7]) + len(row[8]) + len(row[9])
}

// keep copies bytes. An event that is kept keeps its chunk alive, which bounds
// what it can cost.
func (r *rows) keep(data []byte) []byte {
	if len(data) == 0 {
		return nil
	}
	if len(data) > chunkSize/4 {
		return append([]byte(nil), data...)
	}
	if len(data) > cap(r.chunk)-len(r.chunk) {
		r.chunk = make([]byte, 0, chunkSize)
	}
	start := len(r.chunk)
	r.chunk = append(r.chunk, data...)
	return r.chunk[start:len(r.chunk):len(r.chunk)]
}

// typeOf makes one string of equal types.
func (r *rows) typeOf(data []byte) string {
	if known, ok := r.types[string(data)]; ok {
		return known
	}
	if r.types == nil {
		r.types = make(map[string]string, 8)
	}
	name := string(data)
	r.types[name] = name
	return name
}

// mean is a moving average of the size of rows, to ask for about as many as fit.
type mean struct{ size atomic.Int64 }

// rows is how many rows fit into so many bytes, at least 16.
func (m *mean) rows(bytes int) int {
	return max(16, bytes/int(max(200, m.size.Load())))
}

func (m *mean) learn(r *rows) {
	if n := len(r.events); n > 0 {
		m.size.Store((3*m.size.Load() + int64(r.bytes/n)) / 4)
	}
}
