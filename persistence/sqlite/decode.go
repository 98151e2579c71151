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
		Version:  persistence.Version(c.integer(1)),
		At:       time.UnixMicro(c.integer(3)).UTC(),
		Event: persistence.Event{
			Schema: persistence.SchemaID(c.integer(4)), Type: c.text(5),
			Headers: c.bytes(8), Payload: c.bytes(9),
		},
	}
	id, tags, metadata := c.bytes(2), c.text(6), c.text(7)
	if c.wrong || len(id) != len(recorded.ID) {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "a column holds something else"}
	}
	recorded.ID = persistence.EventID(id)
	var err error
	if recorded.Tags, err = decodeTags(tags); err != nil {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "the tags cannot be read", Err: err}
	}
	if recorded.Metadata, err = persistence.DecodeMetadata([]byte(metadata)); err != nil {
		return recorded, 0, &persistence.CorruptError{Stream: stream, Version: recorded.Version, Reason: "the metadata cannot be read", Err: err}
	}
	return recorded, len(stream) + len(recorded.Type) + len(recorded.Payload) + len(recorded.Headers) + len(tags) + len(metadata), nil
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
