package postgres

import (
	"context"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Submit fulfils [persistence.Submitter]. It refuses at once while the server is away.
func (j *Journal) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if err := j.committer.Refuse(); err != nil {
		return err
	}
	return j.queue.Submit(a, chain, done)
}

// Append fulfils [persistence.Appender]. It refuses at once while the server is away.
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := appender.Outside(ctx, j); err != nil {
		return nil, err
	}
	if err := j.committer.Refuse(); err != nil {
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
		a.Events = slices.Clone(a.Events)
		items[i] = appender.Item{Named: journalkit.GiveIDs(&a), Append: a}
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
		rows, err := j.collect(ctx, conn, unowned(j.sql.StreamByName), j.proved(nil, []byte(item.Stream)))
		if err != nil {
			return persistence.Outcome{}, err
		}
		found, ok := appending.DecodeStreamEnd(rows)
		if !ok {
			return persistence.Outcome{}, wire.ErrUndecodable
		}
		return found.Outcome(item), nil
	}
	var m wire.Values
	appending.EncodeOne(&m, j.id, false, item, stream)
	rows, err := j.collect(ctx, conn, s, m.Parameters())
	if err != nil {
		return persistence.Outcome{}, err
	}
	if len(rows) != 1 {
		return persistence.Outcome{Err: appending.Contradiction(item.Stream)}, nil
	}
	return appending.DecodeOutcome(item, rows[0]), nil
}

func eventIDs(a *persistence.Append) []persistence.EventID {
	ids := make([]persistence.EventID, len(a.Events))
	for i := range ids {
		ids[i] = a.Events[i].ID
	}
	return ids
}

// dial opens a connection that stores events, beside the pools.
func (j *Journal) dial(ctx context.Context) (*pgconn.PgConn, error) {
	config := j.config.writing.Copy()
	if j.config.Pool.BeforeConnect != nil {
		if err := j.config.Pool.BeforeConnect(ctx, config); err != nil {
			return nil, err
		}
	}
	return pgconn.ConnectConfig(ctx, &config.Config) // with a time limit for each host
}

// host is the journal for its committer.
type host struct{ journal *Journal }

func (h host) Resolve(ctx context.Context, names []persistence.StreamID) ([]*streamids.Stream, uint64, error) {
	return h.journal.resolve(ctx, names, true)
}

func (h host) Known() int64 { return h.journal.head.Offset() }

func (h host) Stored(position int64, id persistence.EventID) { h.journal.tail.wasStored(position, id) }

func (h host) Durable(position int64) {
	h.journal.noteFlushed(position)
	h.journal.head.Raise(position)
}

func (h host) Forget() {
	h.journal.flushedTo.Store(0)
	h.journal.streams.Reset()
}

func (h host) Refusal(stream persistence.StreamID, err *pgsession.ServerError) error {
	return refusal(stream, err)
}

func (h host) Missing(err error) error { return missingJournal(err) }
