package sqlite

import (
	"database/sql/driver"
	"math"

	"github.com/stele-es/stele/persistence"
)

// cursor walks through one stream, a page at a time.
type cursor struct {
	stream   persistence.StreamID
	from     persistence.Version // of the next event; backward it may lie beyond the end at first
	left     int                 // events still wanted
	backward bool
	begun    bool

	page    []persistence.Recorded
	missing bool // the stream does not exist
	done    bool
}

func newCursor(stream persistence.StreamID, options persistence.ReadOptions) *cursor {
	c := &cursor{stream: stream, from: options.From, left: options.Limit, backward: options.Backward}
	if c.left == 0 {
		c.left = math.MaxInt
	}
	switch {
	case c.from > 0:
	case c.backward:
		c.from = persistence.MaxVersion
	default:
		c.from = 1
	}
	return c
}

// next reads the next page.
func (c *cursor) next(r *reader) error {
	query, rows := r.read, min(c.left, persistence.DefaultPageRows)
	if c.backward {
		query = r.readBackward
	}
	c.page = nil // the last one belongs to the reader
	size, full, broken := 0, false, error(nil)
	err := query.each([]driver.Value{string(c.stream), int64(c.from), int64(rows)}, func(row []driver.Value) bool {
		recorded, bytes, err := decode(row, c.stream)
		if err == nil {
			err = c.step(&recorded)
		}
		if err != nil {
			broken = err
			return false
		}
		c.page = append(c.page, recorded)
		size += bytes
		full = len(c.page) == rows || size >= persistence.DefaultPageBytes
		return !full
	})
	if err == nil {
		err = broken
	}
	if err != nil {
		return err
	}
	c.left -= len(c.page)
	c.done = !full || c.left == 0 || c.from == 0
	if !c.begun && len(c.page) == 0 {
		row, err := r.findStream.first(string(c.stream))
		c.missing = row == nil
		return err
	}
	c.begun = true
	return nil
}

// step checks that no version was left out.
func (c *cursor) step(recorded *persistence.Recorded) error {
	if recorded.Version != c.from && (c.begun || len(c.page) > 0 || !c.backward) {
		return &persistence.CorruptError{Stream: c.stream, Version: recorded.Version, Reason: "the version before it is missing"}
	}
	if c.backward {
		c.from = recorded.Version - 1
	} else {
		c.from = recorded.Version + 1
	}
	return nil
}
