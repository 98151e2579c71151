// Package eventrows makes events of the rows that the statements of the Postgres journal
// read.
//
//	var rows eventrows.Rows
//	err := rows.Add(stream, row) // for each row of a result
//	… rows.Events …
//
// It knows the order of the columns and no statement.
package eventrows

import (
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Rows are events and what stood beside them. What the driver hands over is only valid
// until the next row, so the bytes move to chunks that many events share. The zero Rows is
// empty and ready for use.
type Rows struct {
	// Events are the events of the rows. One whose row came without its bytes, because it
	// cannot match a filter, has no type.
	Events []persistence.Recorded
	// Numbers are what stands behind the event in each row, where something does: the id
	// of the stream, or the first version of the given stream that can be read.
	Numbers []int64
	// Sizes are what each row counts against the bytes of a page, and Bytes their sum.
	Sizes []int
	Bytes int

	chunk []byte
	types map[string]string
}

const chunkSize = 32 << 10

// New returns rows with room for a number of them.
func New(count int) *Rows {
	return &Rows{Events: make([]persistence.Recorded, 0, count), Numbers: make([]int64, 0, count), Sizes: make([]int, 0, count)}
}

// Add decodes a row of a statement that reads events. The stream is empty where the row
// tells it. A row that cannot be decoded is [*persistence.CorruptError].
func (r *Rows) Add(stream persistence.StreamID, row [][]byte) error {
	e, err := r.decode(stream, row)
	if err != nil {
		return err
	}
	if len(row) > 10 {
		number, ok := wire.ReadInt8(row[10])
		if !ok {
			return undecodable(&e)
		}
		r.Numbers = append(r.Numbers, number)
	}
	if len(row) > 11 { // NULL unless the event's id is a key
		e.Named = len(row[11]) == 1 && row[11][0] == 1
	}
	size := Size(row)
	r.Sizes, r.Bytes = append(r.Sizes, size), r.Bytes+size
	r.Events = append(r.Events, e)
	return nil
}

// decode reads the columns of the event.
func (r *Rows) decode(stream persistence.StreamID, row [][]byte) (persistence.Recorded, error) {
	version, ok1 := wire.ReadInt8(row[0])
	offset, ok2 := wire.ReadInt8(row[1])
	at, ok3 := wire.ReadTime(row[2])
	schema, ok4 := wire.ReadInt4(row[4])
	e := persistence.Recorded{Stream: stream}
	if !ok1 || !ok2 || !ok3 || !ok4 || len(row[3]) != 16 {
		return e, undecodable(&e)
	}
	e.Version, e.Position.Offset, e.At = persistence.Version(version), offset, at
	e.ID = persistence.EventID(row[3])
	e.Schema = persistence.SchemaID(schema)
	e.Type = r.typeOf(row[5])
	e.Payload, e.Headers = r.copied(row[6]), r.copied(row[7])
	var err error
	if e.Metadata, err = persistence.DecodeMetadata(row[8]); err != nil {
		return e, &persistence.CorruptError{Stream: stream, Version: e.Version, Reason: "its metadata cannot be decoded", Err: err}
	}
	tags, ok := wire.ReadArray(row[9], wire.TypeText)
	if !ok {
		return e, &persistence.CorruptError{Stream: stream, Version: e.Version, Reason: "its tags cannot be decoded"}
	}
	if len(tags) > 0 {
		e.Tags = make([]string, len(tags))
		for i, tag := range tags {
			e.Tags[i] = string(tag)
		}
	}
	return e, nil
}

func undecodable(e *persistence.Recorded) error {
	return &persistence.CorruptError{Stream: e.Stream, Version: e.Version, Reason: wire.ErrUndecodable.Error()}
}

// Size is what a row counts against the bytes of a page.
func Size(row [][]byte) int {
	return 100 + len(row[5]) + len(row[6]) + len(row[7]) + len(row[8]) + len(row[9])
}

// copied copies bytes to a chunk. An event that is kept keeps its chunk alive, so large
// values have memory of their own.
func (r *Rows) copied(data []byte) []byte {
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
func (r *Rows) typeOf(data []byte) string {
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

// AverageSize is a moving average of the size of rows, for a reader that asks for about
// as many as fit into a page. Many goroutines may share it.
type AverageSize struct{ size atomic.Int64 }

// Rows returns how many rows fit into a number of bytes, at least 16.
func (a *AverageSize) Rows(bytes int) int {
	return max(16, bytes/int(max(200, a.size.Load())))
}

// Add takes rows into the average.
func (a *AverageSize) Add(r *Rows) {
	if n := len(r.Events); n > 0 {
		a.size.Store((3*a.size.Load() + int64(r.Bytes/n)) / 4)
	}
}
