package postgres

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Import fulfils [persistence.Importer]. Only the role of administrators may call it, see
// [RolesSQL].
func (j *Journal) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	position := persistence.Position{Part: partition}
	if err := journalkit.CheckImport(events); err != nil {
		return position, err
	}
	if len(events) == 0 {
		return position, nil
	}
	ids, newest, err := streamIDs(ctx, j, events, func(r *persistence.Recorded) persistence.StreamID { return r.Stream })
	if err != nil {
		return position, err
	}
	row, err := j.sendImport(ctx, j.sql.importEvents, j.proved(newest, eventParameters(events, ids)...), func(kind string, at int, detail int64) error {
		r := &events[at]
		if kind == "id_reused" {
			return &persistence.EventIDReusedError{Stream: r.Stream, ID: r.ID}
		}
		return &persistence.ConflictError{Stream: r.Stream, Expected: persistence.Exact(r.Version - 1), Actual: persistence.Version(detail)}
	})
	if err != nil {
		return position, err
	}
	last, ok := wire.ReadInt8(row[0])
	if !ok {
		return position, appending.Contradiction("")
	}
	position.Offset = last
	j.head.Raise(last)
	return position, nil
}

// ImportStreams fulfils [persistence.Importer]. Only the role of administrators may call it,
// see [RolesSQL].
func (j *Journal) ImportStreams(ctx context.Context, streams []persistence.StreamInfo) error {
	if err := journalkit.CheckImportStreams(streams); err != nil {
		return err
	}
	if len(streams) == 0 {
		return nil
	}
	ids, newest, err := streamIDs(ctx, j, streams, func(i *persistence.StreamInfo) persistence.StreamID { return i.Stream })
	if err != nil {
		return err
	}
	_, err = j.sendImport(ctx, j.sql.importStreams, j.proved(newest, streamParameters(streams, ids)...), func(kind string, at int, detail int64) error {
		given := &streams[at]
		if kind == "revision" {
			return &persistence.RevisionError{Stream: given.Stream, Expected: given.Revision, Actual: persistence.Revision(detail)}
		}
		return &persistence.ConflictError{Stream: given.Stream, Expected: persistence.Exact(given.Version), Actual: persistence.Version(detail)}
	})
	return err
}

// streamIDs returns the id of the stream of each element, and the stream with the highest
// id. It creates streams that are missing.
func streamIDs[T any](ctx context.Context, j *Journal, all []T, name func(*T) persistence.StreamID) (ids []int64, newest *streamids.Stream, err error) {
	if ctx.Err() != nil {
		return nil, nil, journalkit.CallerLeft(ctx)
	}
	places := map[persistence.StreamID]int{}
	var names []persistence.StreamID
	for i := range all {
		if name := name(&all[i]); !hasKey(places, name) {
			places[name] = len(names)
			names = append(names, name)
		}
	}
	found, _, err := j.resolve(ctx, names, true)
	if err != nil {
		return nil, nil, notBegun(ctx, err)
	}
	ids = make([]int64, len(all))
	for i := range all {
		ids[i] = found[places[name(&all[i])]].ID
	}
	return ids, streamids.Highest(found), nil
}

func hasKey[K comparable, V any](all map[K]V, key K) bool {
	_, known := all[key]
	return known
}

// sendImport sends an import. A refusal of the server has a kind, the index of the element
// that does not fit, and as a detail the version or revision that is there.
func (j *Journal) sendImport(ctx context.Context, s wire.Statement, parameters [][]byte, refused func(kind string, at int, detail int64) error) ([][]byte, error) {
	row, err, sent := j.once(ctx, s, parameters)
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && sent && answered.Code == "ST001" {
		at, atErr := strconv.Atoi(answered.Hint)
		detail, _ := strconv.ParseInt(answered.Detail, 10, 64)
		if kind, ours := strings.CutPrefix(answered.Message, "stele: "); ours && atErr == nil && at > 0 {
			return nil, refused(kind, at-1, detail)
		}
	}
	switch {
	case sent && err != nil:
		return nil, permissionError("import", stageError("", persistence.Any, nil, err))
	case err == nil && row == nil:
		return nil, appending.Contradiction("")
	}
	return row, err
}

func eventParameters(events []persistence.Recorded, ids []int64) [][]byte {
	var m wire.Values
	m.Int2(partition)
	column := func(element wire.Type, add func(i int)) {
		start := m.Array(element, len(events))
		for i := range events {
			add(i)
		}
		m.EndArray(start)
	}
	firsts := map[persistence.StreamID]persistence.Version{}
	for i := range events {
		if !hasKey(firsts, events[i].Stream) {
			firsts[events[i].Stream] = events[i].Version
		}
	}
	column(wire.TypeInt8, func(i int) { m.Int8(ids[i]) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(firsts[events[i].Stream])) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(events[i].Version)) })
	column(wire.TypeTimestampTZ, func(i int) { m.Time(events[i].At) })
	column(wire.TypeBool, func(i int) { m.Bool(events[i].Named) })
	bare := make([]persistence.Event, len(events))
	for i := range events {
		bare[i] = events[i].Event
	}
	appending.EncodeEvents(&m, bare)
	return m.Parameters()
}

func streamParameters(streams []persistence.StreamInfo, ids []int64) [][]byte {
	var m wire.Values
	m.Int2(partition)
	column := func(element wire.Type, add func(i int)) {
		start := m.Array(element, len(streams))
		for i := range streams {
			add(i)
		}
		m.EndArray(start)
	}
	column(wire.TypeInt8, func(i int) { m.Int8(ids[i]) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(streams[i].Version)) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(streams[i].First)) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(streams[i].Begin)) })
	column(wire.TypeBool, func(i int) { m.Bool(streams[i].Empty()) })
	column(wire.TypeInt8, func(i int) { m.Int8(int64(streams[i].Revision)) })
	column(wire.TypeText, func(i int) {
		if metadata := persistence.EncodeMetadata(streams[i].Metadata); metadata != nil {
			m.Data(metadata)
		} else {
			m.Null()
		}
	})
	return m.Parameters()
}
