package postgres

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// pageRows bounds the rows that are read at a time when the caller sets none.
const pageRows = persistence.DefaultPageRows

// Read fulfils [persistence.Reader]. It reads in pages and holds no connection
// while it yields.
func (j *Journal) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		err := j.read(ctx, stream, options, func(e persistence.Recorded) bool { return yield(e, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(persistence.Recorded{}, err)
		}
	}
}

var errStopped = errors.New("the reader left the loop")

func (j *Journal) read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions, yield func(persistence.Recorded) bool) error {
	if err := options.Check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err := checkStream(stream); err != nil {
		return err
	}
	ids, _, err := j.resolve(ctx, []persistence.StreamID{stream}, false)
	if err != nil {
		return readError(ctx, err)
	}
	if ids[0] == 0 {
		return &persistence.StreamNotFoundError{Stream: stream}
	}
	c := &cursor{journal: j, stream: stream, id: ids[0], backward: options.Backward, next: int64(options.From), left: options.Limit}
	if c.left == 0 {
		c.left = math.MaxInt
	}
	if c.backward && c.next == 0 {
		c.next = math.MaxInt64
	} else if !c.backward {
		c.next = max(1, c.next)
	}
	first := true
	for c.left > 0 {
		page, more, err := c.page(ctx)
		if err != nil {
			return err
		}
		if first && len(page) == 0 {
			return j.missingOrEmpty(ctx, stream)
		}
		first = false
		for _, e := range page {
			if !yield(e) {
				return errStopped
			}
		}
		if !more {
			return nil
		}
	}
	return nil
}

// checkStream refuses names that no stream can have, which the server would
// partly not take as text.
func checkStream(stream persistence.StreamID) error {
	return (&persistence.Append{Stream: stream}).Check()
}

// missingOrEmpty tells a stream without event from one that has none in the
// asked range.
func (j *Journal) missingOrEmpty(ctx context.Context, stream persistence.StreamID) error {
	_, err := j.Stream(ctx, stream)
	return err
}

// cursor reads one stream page by page.
type cursor struct {
	journal  *Journal
	stream   persistence.StreamID
	id       int64
	backward bool
	next     int64 // the first version of the next page
	left     int   // events to yield
}

// page reads the next events, and reports whether there may be more.
func (c *cursor) page(ctx context.Context) ([]persistence.Recorded, bool, error) {
	s := statement{"stele_read_forward", c.journal.sql.readForward}
	if c.backward {
		s = statement{"stele_read_backward", c.journal.sql.readBackward}
	}
	limit := min(c.left, pageRows, c.journal.meanRow.rows(persistence.DefaultPageBytes))
	var r rows
	err := c.journal.withConn(ctx, func(conn *pgx.Conn) error {
		r = rows{}
		return queryOn(ctx, conn, s, [][]byte{int8Parameter(c.id), int8Parameter(c.next), int8Parameter(int64(limit))}, func(row [][]byte) error {
			return r.add(c.stream, row)
		})
	})
	if err != nil {
		return nil, false, readError(ctx, err)
	}
	c.journal.meanRow.learn(&r)
	for i := range r.events {
		if err := c.follows(&r.events[i], i == 0); err != nil {
			return nil, false, err
		}
	}
	c.left -= len(r.events)
	return r.events, len(r.events) == limit && (!c.backward || c.next > 0), nil
}

// follows checks that no version is missing. Only the first event of a stream
// read backward from its head, or forward beyond it, may stand anywhere.
func (c *cursor) follows(e *persistence.Recorded, first bool) error {
	version := int64(e.Version)
	if version != c.next && !(first && c.backward && version < c.next) {
		return &persistence.CorruptError{Stream: c.stream, Version: e.Version, Reason: "versions before it are missing"}
	}
	if c.backward {
		c.next = version - 1
	} else {
		c.next = version + 1
	}
	return nil
}

// Stream fulfils [persistence.Reader].
func (j *Journal) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	info := persistence.StreamInfo{Stream: stream}
	if err := checkStream(stream); err != nil {
		return info, err
	}
	err := j.withConn(ctx, func(conn *pgx.Conn) error {
		return queryOn(ctx, conn, statement{"stele_stream_by_name", j.sql.streamByName}, [][]byte{[]byte(stream)}, func(row [][]byte) error {
			version, ok := readInt8(row[1])
			if !ok {
				return errUndecodable
			}
			info.Version = persistence.Version(version)
			return nil
		})
	})
	if err != nil {
		return info, readError(ctx, err)
	}
	if info.Version == 0 {
		return info, &persistence.StreamNotFoundError{Stream: stream}
	}
	return info, nil
}
