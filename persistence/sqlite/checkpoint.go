package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/stele-es/stele/internal/sqlitefile"
)

// Sizes of the write-ahead log, in pages of 4 KiB and, for the limit, in bytes.
// A checkpoint copies the log into the file; the next commit then begins the log
// anew. It is done between batches: when nobody waits, or when the log is long.
const (
	logWorth = 1 << 10  // 4 MiB: worth the flush of a checkpoint
	logLong  = 8 << 10  // 32 MiB: must not wait for a quiet moment
	logLimit = 64 << 20 // a log that has grown beyond is cut when it begins anew
)

// checkpoint keeps the log short. The caller holds writing.
func (j *Journal) checkpoint() {
	if j.writer == nil {
		return
	}
	if err := j.writer.tidy(j.queue.Idle(), j.files.Load()); err != nil {
		// Nothing is lost: the log holds it, and a later batch tries again.
		j.config.Logger.Warn("checkpoint failed", "err", err)
	}
}

// tidy checkpoints when it is time. What a checkpoint could not do, because of a
// reader or of the disk, is not tried again before the log has grown as much
// again: every attempt looks through the whole log.
func (w *writer) tidy(idle bool, files *sqlitefile.Files) error {
	length, copied, err := w.logLength()
	if err != nil {
		return err
	}
	if length < w.tried {
		w.tried = 0 // it has begun anew
	}
	grown := length - max(copied, w.tried)
	if grown < logWorth || grown < logLong && !idle {
		return nil
	}
	w.tried = length
	if _, err := w.passive(); err != nil {
		return err
	}
	return notice(w, files)
}

// logLength is how many pages the log has, and how many of them a checkpoint
// has copied already.
func (w *writer) logLength() (length, copied int64, err error) {
	_, length, copied, err = w.walCheckpoint(w.log)
	return length, copied, err
}

// passive copies the log into the file as far as readers allow, unless another
// connection is at it.
func (w *writer) passive() (busy bool, err error) {
	n, _, _, err := w.walCheckpoint(w.copyLog)
	return n != 0, err
}

// emptyLog copies all of the log into the file, flushes that, and cuts the log.
// It reports false when another program's reader was in the way for too long.
func (w *writer) emptyLog(ctx context.Context) (done bool, err error) {
	ends := time.Now().Add(w.patience)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		busy, length, _, err := w.walCheckpoint(w.cutLog)
		if done := busy == 0 && length == 0; err != nil || done || time.Now().After(ends) {
			return done, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return false, nil
		}
	}
}

// walCheckpoint runs one of SQLite's forms of a checkpoint.
func (w *writer) walCheckpoint(form *stmt) (busy, length, copied int64, err error) {
	row, err := form.first()
	if err != nil {
		return 0, 0, 0, err
	}
	c := columns{row: row}
	busy, length, copied = c.integer(0), c.integer(1), c.integer(2)
	if c.wrong {
		return 0, 0, 0, errors.New("read what a checkpoint has done")
	}
	return busy, length, copied, nil
}
