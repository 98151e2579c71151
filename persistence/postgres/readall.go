package postgres

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// ReadAll fulfils [persistence.Reader]. It holds no connection while it yields.
func (j *Journal) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		options.After = slices.Clone(options.After)
		for {
			page, err := j.pageAfter(ctx, options)
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			// The reader may change the place that it is given.
			options.After = slices.Clone(page.Next)
			if atHead := page.AtHead; !yield(page, nil) || atHead {
				return
			}
		}
	}
}

func (j *Journal) pageAfter(ctx context.Context, options persistence.ReadAllOptions) (persistence.Page, error) {
	if ctx.Err() != nil {
		return persistence.Page{}, context.Cause(ctx)
	}
	var scan *scan
	var names map[int64]persistence.StreamID
	err := j.withConn(ctx, func(conn *pgx.Conn) (err error) {
		if scan, err = j.scanWhole(ctx, conn, options); err == nil {
			names, err = j.nameOf(ctx, conn, scan.streams)
		}
		return err
	})
	if err != nil {
		return persistence.Page{}, readError(ctx, err)
	}
	page := persistence.Page{AtHead: scan.atHead, Next: options.After.With(persistence.Position{Part: partition, Offset: scan.last})}
	page.Events = scan.events[:0]
	for i := range scan.events {
		e := &scan.events[i]
		if e.Stream = names[scan.streams[i]]; e.Stream == "" {
			return persistence.Page{}, &persistence.CorruptError{Version: e.Version, Reason: fmt.Sprintf("the event at position %d has no stream", e.Position.Offset)}
		}
		if options.System || !strings.HasPrefix(string(e.Stream), "$") {
			page.Events = append(page.Events, *e)
		}
	}
	j.heads.publish(scan.last)
	return page, nil
}

// scanWhole is scan without a hole. Positions are given under a lock, so there
// cannot be one; it is read again to be sure that what is seen is what is stored.
func (j *Journal) scanWhole(ctx context.Context, conn *pgx.Conn, options persistence.ReadAllOptions) (*scan, error) {
	s, err := j.scan(ctx, conn, options)
	if err == nil && s.hole() != 0 {
		s, err = j.scan(ctx, conn, options)
	}
	if err != nil {
		return nil, err
	}
	if hole := s.hole(); hole != 0 {
		return nil, &persistence.CorruptError{Reason: fmt.Sprintf("no event at position %d", hole)}
	}
	return s, nil
}

// scan is a run of a partition.
type scan struct {
	rows
	after, last int64
	atHead      bool
}

// scan reads at least one row after a position, and as many as fit the page.
func (j *Journal) scan(ctx context.Context, conn *pgx.Conn, options persistence.ReadAllOptions) (*scan, error) {
	after := options.After.Of(partition).Offset
	s := &scan{after: after, last: after}
	for !s.atHead {
		// One row more than is wanted tells whether the page ends at the head.
		wanted := min(options.PageRows-len(s.events), j.meanRow.rows(options.PageBytes-s.bytes))
		got, full := 0, false
		parameters := [][]byte{int2Parameter(partition), int8Parameter(s.last), int8Parameter(int64(wanted) + 1)}
		err := queryOn(ctx, conn, statement{"stele_read_all", j.sql.readAll}, parameters, func(row [][]byte) error {
			got++
			full = full || len(s.events) > 0 && s.bytes+rowSize(row) > options.PageBytes
			if got > wanted || full {
				return nil
			}
			if err := s.add("", row); err != nil {
				return err
			}
			s.last = s.events[len(s.events)-1].Position.Offset
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.atHead = got <= wanted && !full
		if full || len(s.events) >= options.PageRows {
			break
		}
	}
	j.meanRow.learn(&s.rows)
	return s, nil
}

// hole returns the first position that is missing, or 0.
func (s *scan) hole() int64 {
	for i := range s.events {
		if want := s.after + int64(i) + 1; s.events[i].Position.Offset != want {
			return want
		}
	}
	return 0
}
