package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// chooseRelease changes the release of the order lock when contention advises it.
func (j *Journal) chooseRelease(ctx context.Context) {
	if j.config.EarlyRelease != EarlyAuto {
		return
	}
	early, differs := j.committer.ReleaseAdvice()
	if !differs {
		return
	}
	if err := j.releaseEarly(ctx, early); err != nil {
		return // the advice will come again
	}
	if early {
		j.config.Logger.InfoContext(ctx, "order lock is released early")
	} else {
		j.config.Logger.InfoContext(ctx, "order lock is held until the flush")
	}
}

// releaseEarly makes all writers of the journal release the lock early, or late. The link
// learns it by its next answer.
func (j *Journal) releaseEarly(ctx context.Context, early bool) error {
	value := []byte{0}
	if early {
		value[0] = 1
	}
	return j.withConn(ctx, func(conn *pgx.Conn) error {
		_, err := j.collect(ctx, conn, j.sql.releaseEarly, [][]byte{wire.Int2(partition), value})
		return err
	})
}

// flushRead makes events that were read on a connection durable before they are handed on.
// Those up to flushedTo are durable already, and those that a transaction reads are flushed
// by its commit. Everything that is visible is flushed together, so that a reader far
// behind flushes once.
func (j *Journal) flushRead(ctx context.Context, conn *pgx.Conn, events []persistence.Recorded) error {
	newest := int64(0)
	for i := range events {
		newest = max(newest, events[i].Position.Offset)
	}
	return j.flushTo(ctx, conn, newest)
}

// flushTo is flushRead for a position. A reader that remembers a position which does not
// survive would miss the event that comes there instead.
func (j *Journal) flushTo(ctx context.Context, conn *pgx.Conn, newest int64) error {
	if newest <= j.flushedTo.Load() || conn.PgConn().TxStatus() != 'I' {
		return nil
	}
	visible := int64(0)
	err := j.queryOn(ctx, conn, j.sql.barrier, [][]byte{wire.Int2(partition)}, func(row [][]byte) error {
		visible, _ = wire.ReadInt8(row[0]) // NULL when there is no event
		return nil
	})
	if err != nil {
		return err
	}
	j.noteFlushed(max(newest, visible)) // the flush is done only when the statement is
	return nil
}

// noteFlushed notes that all events up to a position are durable.
func (j *Journal) noteFlushed(offset int64) {
	for {
		known := j.flushedTo.Load()
		if offset <= known || j.flushedTo.CompareAndSwap(known, offset) {
			return
		}
	}
}
