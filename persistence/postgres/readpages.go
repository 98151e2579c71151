package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/eventrows"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// pipelined bounds the statements of ReadPages that are sent before their
// answers are read.
const pipelined = 256

// ReadPages fulfils [persistence.PageReader]. The requests go out together, so many streams
// take little longer than one.
func (j *Journal) ReadPages(ctx context.Context, requests []persistence.PageRequest) ([]persistence.StreamPage, error) {
	pages := make([]persistence.StreamPage, len(requests))
	asked := make([]int, 0, len(requests))
	names := make([]persistence.StreamID, 0, len(requests))
	for i := range requests {
		if pages[i].Err = checkRequest(&requests[i]); pages[i].Err == nil {
			asked = append(asked, i)
			names = append(names, requests[i].Stream)
		}
	}
	for again := false; ; again = true {
		err := j.pagesOf(ctx, requests, asked, names, pages)
		if err == nil {
			return pages, nil
		}
		if again || !j.outdated(err) {
			return nil, readError(ctx, err)
		}
	}
}

// pagesOf reads pages by the ids of the streams that the journal knows.
func (j *Journal) pagesOf(ctx context.Context, requests []persistence.PageRequest, asked []int, names []persistence.StreamID, pages []persistence.StreamPage) error {
	found, _, err := j.resolve(ctx, names, false)
	if err != nil {
		return err
	}
	known := make([]*streamids.Stream, len(requests))
	for i, at := range asked {
		known[at] = found[i]
	}
	for start := 0; start < len(requests); start += pipelined {
		end := min(start+pipelined, len(requests))
		err := j.withConn(ctx, func(conn *pgx.Conn) error {
			if err := j.readPages(ctx, conn, requests[start:end], known[start:end], pages[start:end]); err != nil {
				return err
			}
			return j.flushPages(ctx, conn, pages[start:end])
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// flushPages makes all events of the pages durable.
func (j *Journal) flushPages(ctx context.Context, conn *pgx.Conn, pages []persistence.StreamPage) error {
	var last []persistence.Recorded
	for i := range pages {
		if n := len(pages[i].Events); n > 0 {
			last = append(last, pages[i].Events[n-1])
		}
	}
	return j.flushRead(ctx, conn, last)
}

func checkRequest(r *persistence.PageRequest) error {
	if r.Limit <= 0 {
		return &persistence.InvalidError{Field: "limit", Reason: "must be positive"}
	}
	if r.From > persistence.MaxVersion {
		return &persistence.InvalidError{Field: "from", Reason: "is out of range"}
	}
	return r.Stream.CheckName()
}

// readPages sends one group of requests and reads their answers. A stream without an id is
// not asked for: it has no event, or the request is invalid.
func (j *Journal) readPages(ctx context.Context, conn *pgx.Conn, requests []persistence.PageRequest, known []*streamids.Stream, pages []persistence.StreamPage) (err error) {
	prepared, err := j.prepare(ctx, conn, j.sql.readForward)
	if err != nil {
		return err
	}
	pipeline := conn.PgConn().StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil {
			err = closeErr
		}
	}()
	asked := make([]int, 0, len(requests))
	var m wire.Values
	for i := range requests {
		if known[i] == nil {
			continue
		}
		asked = append(asked, i)
		r := &requests[i]
		m.Reset(1 << 10)
		m.Int8(known[i].ID)
		m.Int8(int64(r.From))
		m.Int8(int64(r.Limit))
		appending.EncodeProof(&m, j.id, known[i])
		wire.Queue(pipeline, j.sql.readForward, prepared, m.Parameters())
	}
	if err := pipeline.Sync(); err != nil {
		return err
	}
	var arena eventrows.Rows
	for _, i := range asked {
		pages[i] = persistence.StreamPage{} // an earlier attempt may have begun it
		err := readPage(&arena, &requests[i], &pages[i], pipeline)
		if err != nil {
			return err
		}
	}
	return nil
}

// readPage reads the answer to one request. Rows that cannot be decoded fail only this
// request.
func readPage(r *eventrows.Rows, request *persistence.PageRequest, page *persistence.StreamPage, pipeline *pgconn.Pipeline) error {
	start := len(r.Events)
	err := wire.Next(pipeline, func(row [][]byte) error {
		if page.Err == nil {
			page.Err = r.Add(request.Stream, row)
		}
		return nil
	})
	if err != nil {
		return err
	}
	events := r.Events[start:len(r.Events):len(r.Events)]
	next := request.From
	if len(events) > 0 && page.Err == nil {
		first := persistence.Version(r.Numbers[start])
		if next > 0 && next < first {
			page.Err = &persistence.TruncatedError{Stream: request.Stream, First: first}
		}
		next = max(next, first)
	}
	for i := range events {
		if page.Err == nil && events[i].Version != next {
			page.Err = &persistence.CorruptError{Stream: request.Stream, Version: events[i].Version, Reason: "versions before it are missing"}
		}
		next++
	}
	if page.Err == nil && len(events) > 0 {
		page.Events = events
	}
	return nil
}
