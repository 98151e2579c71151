package sqlite

import (
	"cmp"
	"database/sql/driver"
	"math"

	"github.com/stele-es/stele/persistence"
)

// cursor walks through one stream, a page at a time.
type cursor struct {
	stream    persistence.StreamID
	prefilter *prefilter
	from      persistence.Version // of the next event; 0 is the end where to begin
	left      int                 // events still wanted
	backward  bool

	page []persistence.Recorded
	done bool
}

func newCursor(stream persistence.StreamID, options persistence.ReadOptions) *cursor {
	c := &cursor{stream: stream, prefilter: newPrefilter(options.Filter).ofStream(), from: options.From, left: options.Limit, backward: options.Backward}
	if c.left == 0 {
		c.left = math.MaxInt
	}
	return c
}

// next reads the next page. The reader sees one moment meanwhile.
func (c *cursor) next(r *reader) error {
	c.page = nil // the last one belongs to the reader
	at, _, err := r.find(c.stream)
	if err != nil {
		return err
	}
	low, high, err := c.span(&at)
	if err != nil || low > high {
		c.done = true
		return err
	}
	if low, high = c.window(low, high); low <= high {
		err = c.read(r, at.id, low, high)
	}
	if c.backward {
		c.done = c.left == 0 || c.from < at.first
	} else {
		c.done = c.left == 0 || c.from > at.version
	}
	return err
}

// span is what is left of the stream.
func (c *cursor) span(at *stream) (low, high persistence.Version, err error) {
	low, high = at.first, at.version
	switch {
	case c.backward && (c.from == 0 || c.from > high):
		c.from = high
	case c.backward:
		high = c.from
	case c.from == 0:
		c.from = low
	case c.from < low && low <= high:
		return 0, 0, &persistence.TruncatedError{Stream: c.stream, First: low}
	default:
		low = max(low, c.from)
	}
	return low, high, nil
}

// window is the part to look at for one page, which is bounded also when little
// is chosen of it. The cursor stands behind it then.
func (c *cursor) window(low, high persistence.Version) (persistence.Version, persistence.Version) {
	const rows = persistence.DefaultPageRows
	length := persistence.Version(10 * rows)
	if c.prefilter.filter == nil {
		length = persistence.Version(min(c.left, rows))
	}
	if c.prefilter.excludes(c.stream) {
		length = high - low + 1
	}
	if c.backward {
		low = max(low, high-min(high, length)+1)
		c.from = low - 1
	} else {
		high = min(high, low+length-1)
		c.from = high + 1
	}
	least, most := c.prefilter.versions()
	if c.prefilter.excludes(c.stream) {
		most = 0
	}
	return max(low, least), min(high, most)
}

// read fills the page from a window. When the page is full before the window ends
// the cursor goes back to it.
func (c *cursor) read(r *reader, id int64, low, high persistence.Version) error {
	want, end := low, c.behind(high)
	if c.backward {
		want, end = high, c.behind(low)
	}
	size, full, broken := 0, false, error(nil)
	err := r.stream(c.prefilter, c.backward, id, low, high, func(row []driver.Value) bool {
		recorded, bytes, err := decode(row, c.stream)
		if err == nil && c.prefilter.plain() && recorded.Version != want {
			err = &persistence.CorruptError{Stream: c.stream, Version: recorded.Version, Reason: "the version before it is missing"}
		}
		if err != nil {
			broken = err
			return false
		}
		want = c.behind(recorded.Version)
		if !c.prefilter.chooses(&recorded) {
			return true
		}
		c.page = append(c.page, recorded)
		size += bytes
		c.left--
		if c.left == 0 || len(c.page) == persistence.DefaultPageRows || size >= persistence.DefaultPageBytes {
			c.from, full = want, true
		}
		return !full
	})
	err = cmp.Or(err, broken)
	if err == nil && !full && c.prefilter.plain() && want != end {
		err = &persistence.CorruptError{Stream: c.stream, Version: want, Reason: "the event is missing"}
	}
	return err
}

// behind is the version that comes next.
func (c *cursor) behind(version persistence.Version) persistence.Version {
	if c.backward {
		return version - 1
	}
	return version + 1
}

// stream calls fn with the rows of a part of a stream.
func (r *reader) stream(p *prefilter, backward bool, id int64, low, high persistence.Version, fn func([]driver.Value) bool) error {
	name, query := "read", r.read
	if backward {
		name, query = "read_backward", r.readBackward
	}
	args := []driver.Value{id, int64(low), int64(high)}
	if p.plain() {
		return query.each(args, fn)
	}
	return r.eachOf(p.filled(name), append(args, p.args...), fn)
}
