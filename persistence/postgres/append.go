package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Submit fulfils [persistence.Submitter]. It refuses at once while the server is away.
func (j *Journal) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := j.committer.breaker.Refuse(); err != nil {
		return err
	}
	return j.queue.Submit(a, chain, done)
}

// Append fulfils [persistence.Appender]. It refuses at once while the server is away.
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := appender.Outside(ctx, j); err != nil {
		return nil, err
	}
	if err := j.committer.breaker.Refuse(); err != nil {
		return nil, err
	}
	return j.queue.Append(ctx, appends...)
}

// ownItems checks appends and returns copies whose events have ids.
func ownItems(appends []persistence.Append) ([]appender.Item, error) {
	items := make([]appender.Item, len(appends))
	for i := range appends {
		a := appends[i]
		if err := a.Check(); err != nil {
			return nil, err
		}
		named := a.Named()
		a.Events = slices.Clone(a.Events)
		for k := range a.Events {
			if !named {
				a.Events[k].ID = persistence.NewEventID()
			}
		}
		items[i] = appender.Item{Append: a, Named: named}
	}
	return items, nil
}

// idsOf returns the streams that appends write to. It creates those that are missing.
func (j *Journal) idsOf(ctx context.Context, items []appender.Item) (map[persistence.StreamID]*streamids.Stream, error) {
	ids := map[persistence.StreamID]*streamids.Stream{}
	for i := range items {
		if len(items[i].Events) > 0 { // an empty append must not make a stream
			ids[items[i].Stream] = nil
		}
	}
	names := slices.Sorted(maps.Keys(ids))
	found, _, err := j.resolve(ctx, names, true)
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		ids[name] = found[i]
	}
	return ids, nil
}

// appendOn stores an append on a connection that holds the order lock, by a statement that
// takes any expectation. A refusal is the error of the outcome.
func (j *Journal) appendOn(ctx context.Context, conn *pgx.Conn, s wire.Statement, item *appender.Item, stream *streamids.Stream) (persistence.Outcome, error) {
	if len(item.Events) == 0 {
		rows, err := j.collect(ctx, conn, unowned(j.sql.streamByName), j.proved(nil, []byte(item.Stream)))
		if err != nil {
			return persistence.Outcome{}, err
		}
		found, ok := readEnd(rows)
		if !ok {
			return persistence.Outcome{}, wire.ErrUndecodable
		}
		return found.outcome(item), nil
	}
	var m wire.Values
	encodeChecked(&m, j, false, &work{item: item, stream: stream})
	rows, err := j.collect(ctx, conn, s, m.Parameters())
	if err != nil {
		return persistence.Outcome{}, err
	}
	if len(rows) != 1 {
		return persistence.Outcome{Err: contradiction(item.Stream)}, nil
	}
	return checkedOutcome(item, rows[0]), nil
}

// checkedOutcome decodes the outcome of an append that such a statement has stored or
// refused.
func checkedOutcome(item *appender.Item, row [][]byte) persistence.Outcome {
	last, ok := wire.ReadInt8(row[1])
	switch outcome := string(row[0]); {
	case !ok:
	case outcome == "ok", outcome == "duplicate":
		position, ok := wire.ReadInt8(row[2])
		if !ok {
			break
		}
		return persistence.Outcome{
			First: persistence.Version(last) - persistence.Version(len(item.Events)) + 1, Last: persistence.Version(last),
			Position: persistence.Position{Part: partition, Offset: position}, Duplicate: outcome == "duplicate",
		}
	case outcome == "conflict":
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: persistence.Version(last)}}
	case outcome == "id_reused" && len(row[3]) == 16:
		return persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: item.Stream, ID: persistence.EventID(row[3])}}
	}
	return persistence.Outcome{Err: contradiction(item.Stream)}
}

// streamEnd says where a stream ends, which is all that an append without events asks for.
type streamEnd struct {
	version, first persistence.Version
	created        bool
}

// readEnd decodes the rows of stream_by_name.sql. A stream without a row is at its
// beginning.
func readEnd(rows [][][]byte) (streamEnd, bool) {
	if len(rows) == 0 {
		return streamEnd{first: 1}, true
	}
	version, ok1 := wire.ReadInt8(rows[0][1])
	first, ok2 := wire.ReadInt8(rows[0][2])
	if !ok1 || !ok2 || version < 0 || first < 1 || len(rows[0][4]) != 1 {
		return streamEnd{}, false
	}
	return streamEnd{persistence.Version(version), persistence.Version(first), rows[0][4][0] != 0}, true
}

// outcome returns the outcome of an append without events.
func (e streamEnd) outcome(item *appender.Item) persistence.Outcome {
	if !item.Expected.Admits(e.version, e.first, e.created) {
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: e.version}}
	}
	return persistence.Outcome{Last: e.version}
}

func eventIDs(a *persistence.Append) []persistence.EventID {
	ids := make([]persistence.EventID, len(a.Events))
	for i := range ids {
		ids[i] = a.Events[i].ID
	}
	return ids
}
