package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// scavengeRows bounds the events that one transaction empties.
const scavengeRows = 1000

// Create fulfils [persistence.Streams].
func (j *Journal) Create(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
	if err := stream.CheckName(); err != nil {
		return err
	}
	if err := metadata.Check(); err != nil {
		return err
	}
	row, err := j.change(ctx, stream, persistence.NoStream, nil, j.sql.create,
		j.proved(nil, []byte(stream), wire.Int2(partition), persistence.EncodeMetadata(metadata))...)
	switch {
	case err != nil:
		return err
	case len(row[0]) != 1:
		return contradiction(stream)
	case row[0][0] == 0:
		return &persistence.StreamExistsError{Stream: stream}
	}
	return nil
}

// SetMetadata fulfils [persistence.Streams].
func (j *Journal) SetMetadata(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	if err := stream.CheckName(); err != nil {
		return 0, err
	}
	if err := metadata.Check(); err != nil {
		return 0, err
	}
	if err := expected.Check(); err != nil {
		return 0, err
	}
	row, err := j.change(ctx, stream, persistence.Any, nil, j.sql.setMetadata,
		j.proved(nil, []byte(stream), persistence.EncodeMetadata(metadata), wire.Int8(int64(expected)))...)
	if err != nil {
		return 0, err
	}
	revision, ok := wire.ReadInt8(row[1])
	switch outcome := string(row[0]); {
	case outcome == "not_found":
		return 0, &persistence.StreamNotFoundError{Stream: stream}
	case outcome == "conflict" && ok:
		return 0, &persistence.RevisionError{Stream: stream, Expected: expected, Actual: persistence.Revision(revision)}
	case outcome == "ok" && ok:
		return persistence.Revision(revision), nil
	}
	return 0, contradiction(stream)
}

// Delete fulfils [persistence.Streams].
func (j *Journal) Delete(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	if err := (&persistence.Append{Stream: stream, Expected: expected}).Check(); err != nil {
		return 0, err
	}
	id := persistence.NewEventID()
	row, err := j.change(ctx, stream, expected, []persistence.EventID{id}, j.sql.deleteStream,
		j.proved(nil, wire.Int2(partition), []byte(stream), wire.Int8(int64(expected)), id[:])...)
	if err != nil {
		return 0, err
	}
	last, ok1 := wire.ReadInt8(row[1])
	position, ok2 := wire.ReadInt8(row[2])
	switch outcome := string(row[0]); {
	case outcome == "not_found":
		return 0, &persistence.StreamNotFoundError{Stream: stream}
	case outcome == "conflict" && ok1:
		return 0, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: persistence.Version(last)}
	case outcome == "ok" && ok1 && ok2:
		j.heads.publish(position)
		return persistence.Version(last), nil
	}
	return 0, contradiction(stream)
}

// Truncate fulfils [persistence.Streams].
func (j *Journal) Truncate(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if err := stream.CheckName(); err != nil {
		return 0, err
	}
	if before > persistence.MaxVersion {
		return 0, &persistence.InvalidError{Field: "before", Reason: "is out of range"}
	}
	row, err := j.change(ctx, stream, persistence.Any, nil, j.sql.truncate, j.proved(nil, []byte(stream), wire.Int8(int64(before)))...)
	if err != nil {
		return 0, permitted("truncate", err)
	}
	if row[0] == nil {
		return 0, &persistence.StreamNotFoundError{Stream: stream}
	}
	first, ok := wire.ReadInt8(row[0])
	if !ok {
		return 0, contradiction(stream)
	}
	return persistence.Version(first), nil
}

// Scavenge fulfils [persistence.Scavenger].
func (j *Journal) Scavenge(ctx context.Context, stream persistence.StreamID) (events int, err error) {
	if err := stream.CheckName(); err != nil {
		return 0, err
	}
	for from := int64(1); ; {
		row, err := j.change(ctx, stream, persistence.Any, nil, j.sql.scavenge,
			j.proved(nil, []byte(stream), wire.Int8(from), wire.Int4(scavengeRows))...)
		if err != nil {
			return events, permitted("scavenge", err)
		}
		seen, ok1 := wire.ReadInt8(row[0])
		husks, ok2 := wire.ReadInt8(row[1])
		next, ok3 := wire.ReadInt8(row[2])
		if !ok1 || !ok2 || !ok3 {
			return events, contradiction(stream)
		}
		events += int(husks)
		if from = next; seen < scavengeRows {
			return events, nil
		}
	}
}

// change runs a statement that is a transaction of its own and answers with one
// row. What fails before it is sent was not done; what fails later may have been,
// unless the server's error proves otherwise.
func (j *Journal) change(ctx context.Context, stream persistence.StreamID, expected persistence.Expected, ids []persistence.EventID, s wire.Statement, parameters ...[]byte) (row [][]byte, err error) {
	if err := appender.Outside(ctx, j); err != nil {
		return nil, err
	}
	row, err, sent := j.once(ctx, s, parameters)
	switch {
	case sent && err != nil:
		return nil, stageError(stream, expected, ids, err)
	case err == nil && row == nil:
		return nil, contradiction(stream)
	}
	return row, err
}

// once sends a statement at most once, as far as it can have been done, and returns
// its row, if it answers with one. An error from before it was sent is translated, one
// from afterwards is the driver's.
func (j *Journal) once(ctx context.Context, s wire.Statement, parameters [][]byte) (row [][]byte, err error, sent bool) { //nolint:revive // sent says what err is
	for retried := false; ; retried = true {
		if ctx.Err() != nil {
			return nil, errLeft(ctx), false
		}
		conn, err := j.pool.Acquire(ctx)
		if err != nil {
			return nil, notBegun(ctx, err), false
		}
		row, err, sent := j.onceOn(ctx, conn.Conn(), s, parameters)
		spent := release(conn, err)
		done := sent && !pgsession.Definite(pgsession.Code(err))
		switch {
		case err != nil && spent && !done && !retried && ctx.Err() == nil:
			j.pool.Reset() // the others are no better
		case err != nil && !sent:
			return nil, notBegun(ctx, err), false
		default:
			return row, err, sent
		}
	}
}

func (j *Journal) onceOn(ctx context.Context, conn *pgx.Conn, s wire.Statement, parameters [][]byte) (row [][]byte, err error, sent bool) { //nolint:revive // as above
	if _, err := j.prepare(ctx, conn, s); err != nil {
		return nil, err, false
	}
	rows, err := j.collect(ctx, conn, s, parameters)
	if err == nil && len(rows) == 1 {
		row = rows[0]
	}
	return row, err, true
}
