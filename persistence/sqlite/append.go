package sqlite

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/persistence"
)

// Append fulfils [persistence.Appender].
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if err := appender.Outside(ctx, j); err != nil {
		return nil, err
	}
	return j.queue.Append(ctx, appends...)
}

// Submit fulfils [persistence.Submitter].
func (j *Journal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return j.queue.Submit(append, chain, done)
}

// commit stores a batch, answers all who wait for it, and then, while nobody
// waits for this batch any more, looks after the log.
func (j *Journal) commit(batch *appender.Batch) {
	outcomes := make([]persistence.Outcome, len(batch.Items))
	j.store(batch.Items, outcomes)
	appender.Again(func() {
		for i := range outcomes {
			batch.Settle(i, outcomes[i])
		}
	})
	j.writing.Lock()
	defer j.writing.Unlock()
	j.checkpoint()
}

// store fills in what became of every append of a batch.
func (j *Journal) store(items []appender.Item, outcomes []persistence.Outcome) {
	j.writing.Lock()
	defer j.writing.Unlock()
	defer j.publish() // before the answers: who has one finds its events
	if err := j.ready(detached); err != nil {
		refuse(outcomes, err)
		return
	}
	committing, err := j.writer.write(j.mark, items, outcomes)
	switch {
	case err == nil:
		if err := j.standing(); err != nil {
			j.giveUp(items, outcomes, err)
		}
	case committing && !undone(err):
		j.resolve(items, outcomes, err)
	default:
		refuse(outcomes, j.abandon(err))
	}
}

// publish tells those who wait how far the journal has come.
func (j *Journal) publish() {
	if j.writer != nil && j.writer.seen >= 0 {
		j.head.Raise(j.writer.last)
		j.mark = mark{j.writer.last, j.writer.lastID}
	}
}

// ready makes sure that what is stored now will be found, and opens the file again
// when it was lost.
func (j *Journal) ready(ctx context.Context) error {
	if j.config.ReadOnly {
		return &persistence.InvalidError{Field: "journal", Reason: "is open to be read alone: open it without Config.ReadOnly to store"}
	}
	if j.damaged != nil {
		return j.damaged
	}
	if j.writer == nil {
		return j.reopen(ctx)
	}
	if err := j.standing(); err != nil {
		return err
	}
	return j.untouched()
}

// abandon leaves a transaction of which surely nothing was stored, and returns
// what to answer.
func (j *Journal) abandon(err error) error {
	answer := definite(err)
	if errors.Is(answer, persistence.ErrCorrupt) {
		j.damaged = answer
	}
	undo := j.writer.undo
	if errors.Is(answer, persistence.ErrReplaced) {
		undo = j.writer.leave
	}
	if err := undo(); err != nil {
		j.config.Logger.Error("rollback failed, opening the file again", "err", err)
		j.drop()
	}
	return answer
}

// refuse gives every append that was not refused on its own the same error.
func refuse(outcomes []persistence.Outcome, err error) {
	for i := range outcomes {
		if outcomes[i].Err == nil && !outcomes[i].Duplicate {
			outcomes[i] = persistence.Outcome{Err: err}
		}
	}
}

// How long an unknown outcome is looked into, and the waits between attempts.
const (
	resolveFor  = 30 * time.Second
	resolveWait = 10 * time.Millisecond
	resolveMost = time.Second
)

// resolve finds out what became of a commit that ended in an error which says
// neither yes nor no. After a failed flush the operating system may show data
// that will not survive, so the file is closed, opened again, which recovers
// whatever of the log is valid, and the log is copied into the file and flushed
// there. What is in the file then is stored, and what is not never will be.
func (j *Journal) resolve(items []appender.Item, outcomes []persistence.Outcome, cause error) {
	j.config.Logger.Error("commit failed, opening the file again", "err", cause)
	ctx, cancel := context.WithTimeout(detached, resolveFor)
	defer cancel()
	j.drop()
	for wait := resolveWait; ; wait = min(2*wait, resolveMost) {
		err := j.lookUp(ctx, items, outcomes)
		if err == nil {
			return
		}
		if errors.Is(err, persistence.ErrReplaced) || !j.pause(ctx, wait) {
			j.giveUp(items, outcomes, errors.Join(cause, err))
			return
		}
	}
}

// lookUp opens the file and sees which of the appends' events are in it.
func (j *Journal) lookUp(ctx context.Context, items []appender.Item, outcomes []persistence.Outcome) error {
	if err := j.ready(ctx); err != nil {
		return err
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil || o.Duplicate || len(items[i].Events) == 0 {
			continue
		}
		stored, err := j.writer.holds(&items[i], o)
		if err != nil {
			j.drop()
			return err
		}
		if !stored {
			*o = persistence.Outcome{Err: &persistence.UnavailableError{Reason: "the disk failed and the append was rolled back"}}
		}
	}
	return nil
}

// holds reports whether the append's first event stands where it was put. One
// is enough: all were in one transaction.
func (w *writer) holds(item *appender.Item, o *persistence.Outcome) (bool, error) {
	at, err := w.stream(item.Stream)
	if err != nil || at.version < o.First {
		return false, err
	}
	recorded, err := w.eventOf(item.Stream, at, o.First)
	return recorded.ID == item.Events[0].ID, err
}

func (j *Journal) giveUp(items []appender.Item, outcomes []persistence.Outcome, err error) {
	for i := range outcomes {
		item := &items[i]
		if outcomes[i].Err != nil || outcomes[i].Duplicate || len(item.Events) == 0 {
			continue
		}
		ids := make([]persistence.EventID, len(item.Events))
		for k := range ids {
			ids[k] = item.Events[k].ID
		}
		outcomes[i] = persistence.Outcome{Err: &persistence.UnknownOutcomeError{
			Stream: item.Stream, Expected: item.Expected, IDs: ids, Err: err,
		}}
	}
}

// drop closes the file, readers included: as long as one connection is left,
// SQLite goes on with what it has in memory.
func (j *Journal) drop() {
	j.readers.pause()
	defer j.readers.resume()
	if j.writer != nil {
		j.files.Store(j.files.Load().Closed())
		if err := j.writer.close(); err != nil {
			j.config.Logger.Error("close after a failure", "err", err)
		}
		j.writer = nil
	}
}

// reopen opens the file, makes durable what is in its log, and sees that it is the
// one that was opened before, with all that was acknowledged.
func (j *Journal) reopen(ctx context.Context) error {
	before := j.files.Load()
	if err := before.Check(); err != nil {
		return err
	}
	w, err := openWriter(ctx, j.file, j.config.Relaxed)
	if err != nil {
		err = unproven(err)
	} else if err = errors.Join(w.settle(ctx), w.prove(j.id, j.mark), j.adopt(w)); err != nil {
		err = errors.Join(err, w.close())
	}
	if errors.Is(err, persistence.ErrCorrupt) {
		j.damaged = err
	}
	if err != nil {
		return err
	}
	j.writer = w
	return nil
}

// adopt notes the files that a writer has opened, which must be those of before.
func (j *Journal) adopt(w *writer) error {
	files, err := sqlitefile.Opened(j.path, j.file)
	if err != nil {
		return err
	}
	if before := j.files.Load(); before != nil && !files.Same(before) {
		return before.Check()
	}
	j.files.Store(files)
	return notice(w, files)
}

// settle makes sure that what can be read is on the disk.
func (w *writer) settle(ctx context.Context) error {
	done, err := w.emptyLog(ctx)
	switch {
	case err != nil:
		return definite(err)
	case !done:
		return &persistence.UnavailableError{Reason: "another program reads the journal's file and keeps it from being made safe"}
	}
	return nil
}

// pause waits, somewhat at random, and reports whether to go on.
func (j *Journal) pause(ctx context.Context, about time.Duration) bool {
	timer := time.NewTimer(about/2 + rand.N(about))
	defer timer.Stop()
	select {
	case <-timer.C:
		return j.damaged == nil
	case <-j.closing:
	case <-ctx.Done():
	}
	return false
}
