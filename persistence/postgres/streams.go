package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

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
		return appending.Contradiction(stream)
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
	return 0, appending.Contradiction(stream)
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
		j.head.Raise(position)
		return persistence.Version(last), nil
	}
	return 0, appending.Contradiction(stream)
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
		return 0, permissionError("truncate", err)
	}
	if row[0] == nil {
		return 0, &persistence.StreamNotFoundError{Stream: stream}
	}
	first, ok := wire.ReadInt8(row[0])
	if !ok {
		return 0, appending.Contradiction(stream)
	}
	return persistence.Version(first), nil
}

// Stream fulfils [persistence.Reader].
func (j *Journal) Stream(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
	return j.info(ctx, j.withConn, stream)
}

func (j *Journal) info(ctx context.Context, on session, stream persistence.StreamID) (persistence.StreamInfo, error) {
	if err := stream.CheckName(); err != nil {
		return persistence.StreamInfo{}, err
	}
	var info persistence.StreamInfo
	exists := false
	err := on(ctx, func(conn *pgx.Conn) error {
		return j.queryOn(ctx, conn, j.sql.StreamByName, j.proved(nil, []byte(stream)), func(row [][]byte) (err error) {
			info, exists, err = readInfo(row)
			return err
		})
	})
	switch {
	case err != nil:
		return persistence.StreamInfo{}, readError(ctx, err)
	case !exists:
		return persistence.StreamInfo{}, &persistence.StreamNotFoundError{Stream: stream}
	}
	return info, nil
}

// readInfo decodes a row about a stream, and reports whether the stream exists.
func readInfo(row [][]byte) (info persistence.StreamInfo, exists bool, err error) {
	version, ok1 := wire.ReadInt8(row[1])
	first, ok2 := wire.ReadInt8(row[2])
	begin, ok3 := wire.ReadInt8(row[3])
	revision, ok4 := wire.ReadInt8(row[5])
	if !ok1 || !ok2 || !ok3 || !ok4 || len(row[4]) != 1 {
		return info, false, wire.ErrUndecodable
	}
	info = persistence.StreamInfo{
		Stream: persistence.StreamID(row[7]), Version: persistence.Version(version),
		First: persistence.Version(first), Begin: persistence.Version(begin), Revision: persistence.Revision(revision),
	}
	if info.Metadata, err = readMetadata(row[6]); err != nil {
		return info, false, &persistence.CorruptError{Stream: info.Stream, Reason: "its metadata cannot be decoded", Err: err}
	}
	return info, row[4][0] != 0 || version >= first, nil
}

// readMetadata decodes the metadata of a stream, a jsonb. NULL is no metadata.
func readMetadata(data []byte) (persistence.Metadata, error) {
	if data == nil {
		return nil, nil
	}
	if len(data) == 0 || data[0] != 1 { // the version of jsonb's form
		return nil, wire.ErrUndecodable
	}
	return persistence.DecodeMetadata(data[1:])
}
