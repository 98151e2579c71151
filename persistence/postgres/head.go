package postgres

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// Wait fulfils [persistence.Reader]. Events of this journal wake it at once, events of
// other processes within about Config.PollInterval.
func (j *Journal) Wait(ctx context.Context, after persistence.Positions) error {
	return j.head.Wait(ctx, after.Of(partition).Offset)
}

// probeEvery is the time between two probes of a server that is away.
const probeEvery = time.Second

// poll looks for events of other processes while readers wait, and for the server while it
// is away. All readers share it.
func (j *Journal) poll(ctx context.Context) {
	var probed time.Time
	for {
		// ±20 %, so that the processes of a cluster do not ask in step.
		pause := time.NewTimer(time.Duration(float64(j.config.PollInterval) * (0.8 + 0.4*rand.Float64())))
		nudged := false
		select {
		case <-ctx.Done():
			pause.Stop()
			return
		case <-pause.C:
		case <-j.nudged:
			nudged = true
			pause.Stop()
		}
		j.chooseRelease(ctx)
		if j.committer.Away() && time.Since(probed) > probeEvery {
			probed = time.Now()
			if j.pool.Ping(ctx) == nil {
				j.committer.Answered()
			}
		}
		// A reader that begins to wait a moment after a nudge must find its events too.
		if j.head.Waiting() == 0 && !nudged {
			continue
		}
		// A server that is away is asked again. Readers that wait have their own time limits.
		switch head, err := j.Head(ctx); {
		case err == nil:
			j.head.Fail(nil)
			j.head.Raise(head.Of(partition).Offset)
		case errors.Is(err, persistence.ErrLostTail):
			j.head.Fail(err)
		}
	}
}

// Head fulfils [persistence.Reader].
func (j *Journal) Head(ctx context.Context) (persistence.Positions, error) {
	var offset int64
	err := j.withConn(ctx, func(conn *pgx.Conn) (err error) {
		if offset, err = j.headOf(ctx, conn); err != nil {
			return err
		}
		return j.flushTo(ctx, conn, offset)
	})
	if err != nil {
		return nil, readError(ctx, err)
	}
	return persistence.Positions{offset}, nil
}

// headOf returns the last position. It fails unless the server has the newest event that
// was read or stored.
func (j *Journal) headOf(ctx context.Context, conn *pgx.Conn) (offset int64, err error) {
	newest := j.tail.newest()
	var found []byte
	parameters := j.proved(nil, wire.Int2(partition), wire.Int8(newest.position))
	err = j.queryOn(ctx, conn, j.sql.head, parameters, func(row [][]byte) error {
		var ok bool
		if offset, ok = wire.ReadInt8(row[0]); !ok {
			return wire.ErrUndecodable
		}
		found = bytes.Clone(row[1])
		return nil
	})
	if err == nil {
		err = newest.check(found)
	}
	return offset, err
}

// Nudge makes the journal look at once for events that others have committed, such as those
// of a transaction that [Journal.AppendTx] took part in. Readers that wait need not wait for
// the next poll. Nudge itself does not wait.
func (j *Journal) Nudge() {
	select {
	case j.nudged <- struct{}{}:
	default: // the last nudge is still unread
	}
}
