package torture_test

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence"
)

// naiveReader gives out whatever lies beyond the last position that it has seen,
// as soon as it shows.
type naiveReader struct {
	torture.Journal
	pool *pgxpool.Pool
}

// openNaive opens the tables of a journal beside it.
func openNaive(ctx context.Context, url string, open torture.Opener) (*naiveReader, error) {
	journal, err := open(ctx, url)
	if err != nil {
		return nil, err
	}
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.MaxConns = 12
	pool, err := pgxpool.NewWithConfig(ctx, config)
	return &naiveReader{journal, pool}, err
}

func (n *naiveReader) Close() error {
	n.pool.Close()
	return n.Journal.Close()
}

// ReadAll knows only what the readers under test use.
func (n *naiveReader) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		after := options.After.Of(0)
		for {
			events, err := n.read(ctx, after.Offset, options.PageRows)
			if err != nil {
				yield(persistence.Page{}, &persistence.UnavailableError{Reason: "the naive reader failed", Err: err})
				return
			}
			page := persistence.Page{AtHead: len(events) < options.PageRows}
			for i := range events {
				after = events[i].Position
				if options.Filter == nil || options.Filter.Match(&events[i]) {
					page.Events = append(page.Events, events[i])
				}
			}
			page.Next = persistence.Positions{after.Offset}
			if !yield(page, nil) || page.AtHead {
				return
			}
		}
	}
}

// Wait returns as soon as anything shows, flushed or not.
func (n *naiveReader) Wait(ctx context.Context, after persistence.Positions) error {
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		var newer bool
		err := n.pool.QueryRow(ctx, "SELECT coalesce(max(position), 0) > $1 FROM stele.event", after.Of(0).Offset).Scan(&newer)
		if newer || err != nil && ctx.Err() == nil {
			return nil // too early, at the worst
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
}

func (n *naiveReader) read(ctx context.Context, after int64, limit int) ([]persistence.Recorded, error) {
	found, err := n.pool.Query(ctx, `SELECT e.position, s.name, e.version, e.event_id, e.type, e.payload, (e.metadata ->> 'lane')::bigint, e.created_at
		FROM stele.event e JOIN stele.stream s USING (stream_id) WHERE e.position > $1 ORDER BY e.position LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(row pgx.CollectableRow) (e persistence.Recorded, err error) {
		var lane int64
		err = row.Scan(&e.Position.Offset, &e.Stream, &e.Version, (*[16]byte)(&e.ID), &e.Type, &e.Payload, &lane, &e.At)
		e.Metadata = persistence.Metadata{"lane": persistence.Int(lane)}
		return e, err
	})
}

// sequenceJournal takes its positions from a sequence, without a lock, and commits
// some time later: the classic mistake.
type sequenceJournal struct {
	*naiveReader
	names *pgxpool.Pool // apart, for those who have a connection and need the number of a stream
}

func (s *sequenceJournal) Close() error {
	s.names.Close()
	return s.naiveReader.Close()
}

func openSequence(ctx context.Context, url string) (torture.Journal, error) {
	naive, err := openNaive(ctx, url, relaxed)
	if err != nil {
		return nil, err
	}
	_, err = naive.pool.Exec(ctx, `SELECT pg_advisory_lock(1); CREATE SEQUENCE IF NOT EXISTS public.position; SELECT pg_advisory_unlock(1)`)
	if err != nil {
		return nil, err
	}
	config := naive.pool.Config()
	config.MaxConns = 1
	names, err := pgxpool.NewWithConfig(ctx, config)
	return &sequenceJournal{naive, names}, err
}

func (s *sequenceJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	outcomes := make([]persistence.Outcome, len(appends))
	for i := range appends {
		err := pgx.BeginFunc(context.WithoutCancel(ctx), s.pool, func(tx pgx.Tx) (err error) {
			if outcomes[i], err = s.insert(ctx, tx, &appends[i]); err == nil {
				hesitate(time.Duration(rand.IntN(int(time.Millisecond))))
			}
			return err
		})
		if err != nil {
			outcomes[i] = persistence.Outcome{Err: told(&appends[i], err)}
		}
	}
	return outcomes, nil
}

func (s *sequenceJournal) AppendTx(ctx context.Context, tx pgx.Tx, appends ...persistence.Append) ([]persistence.Outcome, error) {
	var outcomes []persistence.Outcome
	for i := range appends {
		outcome, err := s.insert(ctx, tx, &appends[i])
		if err != nil {
			return nil, told(&appends[i], err)
		}
		outcomes = append(outcomes, outcome)
	}
	return outcomes, nil
}

func (s *sequenceJournal) Transact(ctx context.Context, body func(context.Context, persistence.Transaction) error) error {
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error { return body(ctx, sequenceTransaction{s, ctx, tx}) })
}

type sequenceTransaction struct {
	journal *sequenceJournal
	ctx     context.Context
	tx      pgx.Tx
}

func (t sequenceTransaction) Append(appends ...persistence.Append) ([]persistence.Outcome, error) {
	return t.journal.AppendTx(t.ctx, t.tx, appends...)
}

func (sequenceTransaction) Read(persistence.StreamID, persistence.ReadOptions) ([]persistence.Recorded, error) {
	return nil, errors.ErrUnsupported
}

// insert stores an append at the next positions, whoever else is about to.
func (s *sequenceJournal) insert(ctx context.Context, tx pgx.Tx, a *persistence.Append) (o persistence.Outcome, err error) {
	var stream, head int64
	if err := s.names.QueryRow(ctx, "SELECT stream_id FROM stele.stream_ids(ARRAY[$1], ARRAY[0::smallint])", string(a.Stream)).Scan(&stream); err != nil {
		return o, err
	}
	if err := tx.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM stele.event WHERE stream_id = $1", stream).Scan(&head); err != nil {
		return o, err
	}
	if version, exact := a.Expected.Version(); exact {
		head = int64(version)
	}
	for i := range a.Events {
		e := &a.Events[i]
		lane, _ := e.Metadata["lane"].AsInt()
		var position int64
		err := tx.QueryRow(ctx, `INSERT INTO stele.event (part, position, stream_id, version, event_id, schema_id, type, payload, headers, metadata)
			VALUES (0, nextval('public.position'), $1, $2, $3, 0, $4, $5, '', jsonb_build_object('lane', $6::bigint)) RETURNING position`,
			stream, head+1+int64(i), [16]byte(persistence.NewEventID()), e.Type, e.Payload, lane).Scan(&position)
		if err != nil {
			return o, err
		}
		if i == 0 {
			o = persistence.Outcome{First: persistence.Version(head + 1), Position: persistence.Position{Offset: position}}
		}
	}
	o.Last = persistence.Version(head) + persistence.Version(len(a.Events))
	return o, nil
}

func told(a *persistence.Append, err error) error {
	if answered, ok := errors.AsType[*pgconn.PgError](err); ok && answered.Code == "23505" {
		return &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected}
	}
	return &persistence.UnknownOutcomeError{Stream: a.Stream, Expected: a.Expected, Err: err}
}

// hesitate is what a slow network does between two statements of a transaction.
func hesitate(d time.Duration) { <-time.After(d) }

// The program that finds nothing in the journal finds the loss that every reader
// of a bare sequence suffers.
func TestLongOrderCatchesPositionsThatAreGivenWithoutALock(t *testing.T) {
	t.Parallel()

	report := until(t, func(seed uint64) (*torture.Report, error) {
		target := torture.Target{URL: pgtest.URL(t), Open: openSequence, Seed: seed}
		return torture.Order{Target: target, Connections: 64, Duration: 700 * time.Millisecond}.Run(t.Context())
	}, torture.Skipped)

	require.Zero(t, report.Faults[torture.Lost], "it is the reading that loses")
}

// until repeats a program until it has found all faults, which is a matter of when
// things happen and may take some rounds. It returns the last report.
func until(t *testing.T, run func(seed uint64) (*torture.Report, error), faults ...torture.Fault) *torture.Report {
	t.Helper()
	var report *torture.Report
	found := map[torture.Fault]int{}
	for seed := range uint64(100) { // it takes a few; so many that bad luck is no failure
		var err error
		report, err = run(seed)
		require.NoError(t, err)
		for fault, n := range report.Faults {
			found[fault] += n
		}
		if !slices.ContainsFunc(faults, func(fault torture.Fault) bool { return found[fault] == 0 }) {
			t.Logf("found after round %d:\n%s", seed+1, report)
			return report
		}
	}
	require.Fail(t, "a planted fault was not found", "wanted %q, found %v, at last %s", faults, found, report)
	return nil
}
