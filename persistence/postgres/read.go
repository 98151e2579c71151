package postgres

import (
	"context"
	"errors"
	"iter"
	"math"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/eventrows"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// pageRows bounds the rows that are read at a time when the caller sets none.
const pageRows = persistence.DefaultPageRows

// Read fulfils [persistence.Reader]. It reads in pages, and holds no connection while it
// yields. When the stream is deleted or truncated meanwhile, it ends with an error and not
// as if the stream ended there.
func (j *Journal) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		err := j.read(ctx, j.withConn, stream, options, func(e *persistence.Recorded) bool { return yield(*e, nil) })
		if err != nil && !errors.Is(err, errStopped) {
			yield(persistence.Recorded{}, err)
		}
	}
}

// Count fulfils [persistence.Reader]. Without a filter it reads no event.
func (j *Journal) Count(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
	count := 0
	if options.Filter != nil {
		err := j.read(ctx, j.withConn, stream, options, func(*persistence.Recorded) bool { count++; return true })
		if err != nil {
			return 0, err
		}
		return count, nil
	}
	if err := options.Check(); err != nil {
		return 0, err
	}
	info, err := j.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	low, high := max(1, info.First), info.Version
	if options.Backward && options.From > 0 {
		high = min(high, options.From)
	} else if !options.Backward {
		if err := truncated(&info, options.From); err != nil {
			return 0, err
		}
		low = max(low, options.From)
	}
	if low <= high {
		count = int(high - low + 1)
	}
	if options.Limit > 0 {
		count = min(count, options.Limit)
	}
	return count, nil
}

// truncated returns an error when a stream cannot be read forward from a version.
func truncated(info *persistence.StreamInfo, from persistence.Version) error {
	if from > 0 && from < info.First && info.First <= info.Version {
		return &persistence.TruncatedError{Stream: info.Stream, First: info.First}
	}
	return nil
}

var errStopped = errors.New("the reader left the loop")

func (j *Journal) read(ctx context.Context, on session, stream persistence.StreamID, options persistence.ReadOptions, yield func(*persistence.Recorded) bool) error {
	if err := options.Check(); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	if err := stream.CheckName(); err != nil {
		return err
	}
	ids, _, err := j.resolve(ctx, []persistence.StreamID{stream}, false)
	if err != nil {
		return readError(ctx, err)
	}
	if ids[0] == nil {
		return &persistence.StreamNotFoundError{Stream: stream}
	}
	c := &cursor{journal: j, on: on, stream: stream, known: ids[0], options: options, next: int64(options.From), left: options.Limit}
	if c.left == 0 {
		c.left = math.MaxInt
	}
	if options.Backward && c.next == 0 {
		c.next = math.MaxInt64
	}
	if options.Filter != nil {
		c.conditions = newConditions(options.Filter).ofStream()
	}
	err = c.each(ctx, yield)
	if !c.begun && j.outdated(err) {
		return j.read(ctx, on, stream, options, yield) // with the present id of the stream
	}
	return err
}

// cursor reads one stream page by page.
type cursor struct {
	journal    *Journal
	on         session
	stream     persistence.StreamID
	known      *streamids.Stream
	options    persistence.ReadOptions
	conditions [][]byte // those of the filter, if there is one
	next       int64    // the first version of the next page; 0 for the first of the stream
	left       int      // how many events are still to be yielded
	begun      bool     // an event was read
}

// each calls yield with the events that the options choose.
func (c *cursor) each(ctx context.Context, yield func(*persistence.Recorded) bool) error {
	for {
		page, more, err := c.page(ctx)
		if err != nil {
			return err
		}
		if len(page) == 0 {
			return c.endError(ctx)
		}
		for i := range page {
			e := &page[i]
			if e.Type == "" || c.options.Filter != nil && !c.options.Filter.Match(e) {
				continue
			}
			if !yield(e) {
				return errStopped
			}
			if c.left--; c.left == 0 {
				return nil
			}
		}
		if !more {
			return nil
		}
	}
}

// endError returns the reason why there are no more events: nil at the end of the stream, or
// that the stream was truncated or deleted.
func (c *cursor) endError(ctx context.Context) error {
	info, err := c.journal.info(ctx, c.on, c.stream)
	if err != nil || c.options.Backward {
		return err
	}
	return truncated(&info, persistence.Version(c.next))
}

// page reads the next events, and reports whether there may be more.
func (c *cursor) page(ctx context.Context) ([]persistence.Recorded, bool, error) {
	limit := min(pageRows, c.journal.rowSizes.Rows(persistence.DefaultPageBytes))
	if c.options.Filter == nil {
		limit = min(limit, c.left)
	}
	parameters := append([][]byte{wire.Int8(c.known.ID), wire.Int8(c.next), wire.Int8(int64(limit))}, c.conditions...)
	parameters = append(parameters, c.journal.proof(c.known)...)
	var r eventrows.Rows
	err := c.on(ctx, func(conn *pgx.Conn) error {
		r = eventrows.Rows{}
		err := c.journal.queryOn(ctx, conn, c.statement(), parameters, func(row [][]byte) error { return r.Add(c.stream, row) })
		if err != nil {
			return err
		}
		return c.journal.flushRead(ctx, conn, r.Events)
	})
	if err != nil {
		return nil, false, readError(ctx, err)
	}
	c.journal.rowSizes.Add(&r)
	for i := range r.Events {
		if err := c.checkVersion(&r.Events[i], r.Numbers[i]); err != nil {
			return nil, false, err
		}
	}
	return r.Events, len(r.Events) == limit && (!c.options.Backward || c.next > 0), nil
}

func (c *cursor) statement() wire.Statement {
	sql := &c.journal.sql.reading
	switch {
	case c.conditions == nil && !c.options.Backward:
		return sql.readForward
	case c.conditions == nil:
		return sql.readBackward
	case !c.options.Backward:
		return sql.chooseForward
	}
	return sql.chooseBackward
}

// checkVersion checks that no version is missing before an event. Only the first event of a
// stream that is read backward may have any version. Versions before first were truncated.
func (c *cursor) checkVersion(e *persistence.Recorded, first int64) error {
	version := int64(e.Version)
	if !c.options.Backward && first > c.next {
		if c.next > 0 {
			return &persistence.TruncatedError{Stream: c.stream, First: persistence.Version(first)}
		}
		c.next = first
	}
	if version != c.next && !(!c.begun && c.options.Backward && version < c.next) {
		return &persistence.CorruptError{Stream: c.stream, Version: e.Version, Reason: "versions before it are missing"}
	}
	c.begun = true
	if c.options.Backward {
		c.next = version - 1
	} else {
		c.next = version + 1
	}
	return nil
}
