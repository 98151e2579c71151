package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
)

// Server is the server of a target, to do harm to.
type Server interface {
	// Abort shuts it down at once, as "pg_ctl stop -m immediate" does.
	Abort() error
	// Kill ends all its processes as kill -9 does.
	Kill() error
	// Restart runs it again after either, and waits until it takes connections.
	Restart(ctx context.Context) error
	// KillBackend ends one process as kill -9 does, after which it restarts by itself.
	KillBackend(pid int)
	// Pause stops all its processes.
	Pause()
	// Resume lets them go on.
	Resume()
	// SlowDown makes each flush of its log take this much longer.
	SlowDown(longer time.Duration) error
}

// Crash ends the server under load, again and again. Only flushed data
// is left then, so that an acknowledgement or a delivery that came too early shows
// in the end: positions are given anew to what comes after.
type Crash struct {
	Target
	// Server is the one that Target.URL leads to, best a [Fragile] one.
	Server Server
	// Rounds is the number of crashes.
	Rounds int
	// Mode names in the report how the journals are opened.
	Mode string
}

// Fragile are the options of a server that loses as much as it may: its flushes can
// be slowed down, and nobody flushes on the side. It starts again quickly, without
// flushing each file alone.
func Fragile() []pgserver.Option {
	return []pgserver.Option{
		pgserver.SlowFlush(quick),
		pgserver.Setting("wal_writer_delay", "10s"),
		pgserver.Setting("recovery_init_sync_method", "syncfs"),
	}
}

// How long flushes take while nothing is to happen, and before a crash: so long
// that others commit and read meanwhile.
const (
	quick = time.Millisecond
	slow  = 200 * time.Millisecond
)

// Run writes, reads, crashes and judges. An error means that it could not.
func (c Crash) Run(ctx context.Context) (*Report, error) {
	report := &Report{Program: "crash, " + c.Mode, Seed: c.Seed}
	l, err := startLoad(ctx, &c.Target, 4, 8, 1)
	if err != nil {
		return nil, err
	}
	defer l.close()
	lots := l.lots()
	for round := range c.Rounds {
		if err := c.round(ctx, l, lots); err != nil {
			return nil, fmt.Errorf("round %d: %w", round+1, err)
		}
		report.Crashes++
	}
	if err := l.finish(ctx, report); err != nil {
		return nil, err
	}
	return report, l.judge(ctx, report)
}

// round lets the load run, harms the server while flushes are slow, and waits until
// it stores again.
func (c *Crash) round(ctx context.Context, l *load, lots *rand.Rand) error {
	if err := c.progress(ctx, l, 30); err != nil {
		return err
	}
	if err := c.Server.SlowDown(slow); err != nil {
		return err
	}
	pause(ctx, slow/2+upTo(lots, 2*slow))
	if err := errors.Join(c.harm(ctx, lots), c.Server.SlowDown(quick)); err != nil {
		return err
	}
	return c.progress(ctx, l, 10)
}

// progress waits until some more appends are acknowledged.
func (c *Crash) progress(ctx context.Context, l *load, appends int) error {
	enough := l.ledger.acknowledged() + appends
	return eventually(ctx, "appends to be stored", func() (bool, error) { return l.ledger.acknowledged() >= enough, nil })
}

// harm mostly aborts the server: that loses what is only in its memory. The other
// ways are met by the same recovery, but reach the journals differently.
func (c *Crash) harm(ctx context.Context, lots *rand.Rand) error {
	switch lots.IntN(8) {
	case 0:
		return errors.Join(c.Server.Kill(), c.Server.SlowDown(quick), c.Server.Restart(ctx))
	case 1:
		return c.killBackend(ctx)
	case 2: // those who wait do not know that it will end all the same
		c.Server.Pause()
		pause(ctx, upTo(lots, 300*time.Millisecond))
		c.Server.Resume()
	}
	return c.abort(ctx)
}

func (c *Crash) abort(ctx context.Context) error {
	return errors.Join(c.Server.Abort(), c.Server.SlowDown(quick), c.Server.Restart(ctx))
}

// killBackend ends one process in the midst of its work, for which the server ends
// all others.
func (c *Crash) killBackend(ctx context.Context) error {
	conn, err := connect(ctx, c.URL, "torture killer")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	var pid int
	err = conn.QueryRow(ctx, `SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()
		ORDER BY query ~ 'append' DESC LIMIT 1`).Scan(&pid)
	if errors.Is(err, pgx.ErrNoRows) { // all are on their way back
		return c.abort(ctx)
	}
	if err != nil {
		return err
	}
	c.Server.KillBackend(pid)
	return eventually(ctx, "the server to notice", func() (bool, error) { return conn.Ping(ctx) != nil, nil })
}
