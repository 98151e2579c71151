package sqlite

import (
	"context"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// gate is a lock that one can stop waiting for.
type gate chan struct{}

// Lock waits without a bound.
func (g gate) Lock() { g <- struct{}{} }

// Unlock lets the next one in.
func (g gate) Unlock() { <-g }

// lockToWrite takes writing for a caller that has not left. The caller gives it back with
// unlock.
func (j *Journal) lockToWrite(ctx context.Context) error {
	if err := appender.Outside(ctx, j); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return journalkit.CallerLeft(ctx)
	}
	select {
	case j.writing <- struct{}{}:
	case <-ctx.Done():
		return journalkit.CallerLeft(ctx)
	}
	err := j.ready(ctx)
	if isClosed(j.closing) {
		err = journalkit.Closed()
	}
	if err != nil {
		j.writing.Unlock()
	}
	return err
}

// unlock gives writing back.
func (j *Journal) unlock() {
	j.publish()
	j.checkpoint()
	j.writing.Unlock()
}

// change has do write in one transaction, which is about a stream or, with an
// empty name, about none. An error of do rolls back and comes back.
func (j *Journal) change(ctx context.Context, name persistence.StreamID, do func(*writer) error) error {
	return j.changeAll(ctx, []persistence.StreamID{name}, do)
}

// changeAll is change for many streams, which are not known afterwards.
func (j *Journal) changeAll(ctx context.Context, names []persistence.StreamID, do func(*writer) error) error {
	if err := j.lockToWrite(ctx); err != nil {
		return err
	}
	defer j.unlock()
	if err := j.writer.start(ctx, j.mark); err != nil {
		return j.abandon(err)
	}
	err := do(j.writer)
	if err == nil {
		err = j.writer.flush()
	}
	if err != nil && code(err) != 0 {
		return j.abandon(err)
	}
	if err != nil {
		return j.refuse(err, names...)
	}
	// What was changed is asked for again when it is needed.
	for _, name := range names {
		j.writer.known.remove(name)
	}
	if err := j.writer.commit.run(); err != nil {
		return j.uncommitted(names, err)
	}
	if err := j.standing(); err != nil {
		return unknown(names, err)
	}
	return nil
}

// refuse leaves a transaction that SQLite is content with, but not who began it,
// and returns what to answer. These streams were written to.
func (j *Journal) refuse(err error, touched ...persistence.StreamID) error {
	if undo := j.writer.cancel(touched...); undo != nil {
		j.config.Logger.Error("rollback failed, opening the file again", "err", undo)
		j.drop()
	}
	return answer(err)
}

// uncommitted answers a commit that failed.
func (j *Journal) uncommitted(names []persistence.StreamID, err error) error {
	if undone(err) {
		return j.abandon(err)
	}
	j.config.Logger.Error("commit failed, opening the file again", "err", err)
	j.drop()
	return unknown(names, err)
}

func unknown(names []persistence.StreamID, err error) error {
	unknown := &persistence.UnknownOutcomeError{Err: err}
	if len(names) > 0 {
		unknown.Stream = names[0]
	}
	return unknown
}
