package sqlite

import (
	"database/sql/driver"
	"encoding/json"
	"time"

	"github.com/stele-es/stele/persistence"
)

// decode makes an event of a row whose columns read.sql names, and tells what it
// counts in a page. The bytes of the row become the event's: the driver has
// copied them for this row alone.
func decode(row []driver.Value, stream persistence.StreamID) (persistence.Recorded, int, error) {
	c := columns{row: row}
	recorded := persistence.Recorded{
		Stream:   stream,
		Position: persistence.Position{Offset: c.integer(0)},
		Version:  c.version(1),
		At:       time.UnixMicro(c.integer(3)).UTC(),
		Event: persistence.Event{
			Schema: persistence.SchemaID(c.integer(4)), Type: c.text(5),
			Headers: c.bytes(8), Payload: c.bytes(9),
		},
	}
	recorded.ID = c.id(2)
	tags, metadata := c.text(6), c.text(7)
	if c.wrong {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "a column holds something else"}
	}
	var err error
	if recorded.Tags, err = decodeTags(tags); err != nil {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "the tags cannot be read", Err: err}
	}
	if recorded.Metadata, err = persistence.DecodeMetadata(metadata); err != nil {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "the metadata cannot be read", Err: err}
	}
	return recorded, len(stream) + len(recorded.Type) + len(recorded.Payload) + len(recorded.Headers) + len(tags) + len(metadata), nil
}

// decodeStream makes a stream of a row whose columns stream_find.sql names.
func decodeStream(row []driver.Value) (stream, persistence.StreamInfo, error) {
	c := columns{row: row}
	at := stream{id: c.integer(0), version: c.version(2), first: c.version(3), created: c.integer(5) != 0}
	info := persistence.StreamInfo{
		Stream: persistence.StreamID(c.text(1)), Version: at.version, First: at.first, Begin: c.version(4), Revision: persistence.Revision(c.integer(6)),
	}
	metadata := c.text(7)
	if c.wrong || at.first == 0 || at.first > at.version+1 || info.Begin == 0 || info.Begin > at.first {
		return at, info, &persistence.CorruptError{Stream: info.Stream, Reason: "the stream does not fit its events"}
	}
	var err error
	if info.Metadata, err = persistence.DecodeMetadata(metadata); err != nil {
		return at, info, &persistence.CorruptError{Stream: info.Stream, Reason: "the metadata cannot be read", Err: err}
	}
	return at, info, nil
}

func encodeTags(tags []string) (driver.Value, error) {
	if len(tags) == 0 {
		return nil, nil //nolint:nilnil // NULL
	}
	encoded, err := json.Marshal(tags)
	return string(encoded), err
}

func decodeTags(text string) (tags []string, err error) {
	if text == "" {
		return nil, nil
	}
	err = json.Unmarshal([]byte(text), &tags)
	return tags, err
}

// columns reads the values of a row and remembers when one was of another type
// than its column, which only damage can bring about: the tables are STRICT.
type columns struct {
	row   []driver.Value
	wrong bool
}

func (c *columns) integer(i int) int64 {
	n, ok := c.row[i].(int64)
	c.wrong = c.wrong || !ok
	return n
}

func (c *columns) version(i int) persistence.Version {
	n := c.integer(i)
	c.wrong = c.wrong || n < 0
	return persistence.Version(n)
}

// text is "" for NULL.
func (c *columns) text(i int) string {
	s, ok := c.row[i].(string)
	c.wrong = c.wrong || !ok && c.row[i] != nil
	return s
}

// bytes is nil for NULL.
func (c *columns) bytes(i int) []byte {
	b, ok := c.row[i].([]byte)
	c.wrong = c.wrong || !ok && c.row[i] != nil
	return b
}

func (c *columns) id(i int) (id persistence.EventID) {
	b := c.bytes(i)
	c.wrong = c.wrong || copy(id[:], b) != len(id) || len(b) != len(id)
	return id
}
