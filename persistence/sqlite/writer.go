package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"modernc.org/sqlite/lib"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
)

// writer is the one connection of the journal that writes.
type writer struct {
	*conn
	*eventWriter
	id persistence.JournalID

	begin, commit, rollback *stmt
	dataVersion             *stmt
	seen                    int64 // data version when the eventWriter last asked the file
	log, copyLog, cutLog    *stmt
	tried                   int64         // length of the log when it was last checkpointed
	patience                time.Duration // how long other programs are waited for

	// The file as it was when the journal last had a reason to know it: its time and
	// size, and the length of the log and how much of it had been copied.
	modified             time.Time
	size, length, copied int64

	inside *reader // on this connection, for those who read what they have written; nil before the first
	once   map[string]*stmt
}

// patience is how long the journal waits for other programs that write to the file,
// or that read and keep the log from being cut.
const patience = 5 * time.Second

// openWriter waits for other programs as long as ctx lasts.
func openWriter(ctx context.Context, file string, relaxed bool) (w *writer, err error) {
	err = patiently(ctx, patience, func() error {
		w, err = tryWriter(file, relaxed)
		return err
	})
	return w, err
}

func tryWriter(file string, relaxed bool) (*writer, error) {
	c, err := connect(file, "rwc")
	if err != nil {
		return nil, definite(err)
	}
	w := &writer{conn: c, seen: -1, once: map[string]*stmt{}, patience: patience}
	if err := w.setUp(relaxed); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return w, nil
}

// patiently calls do again while it is another program that keeps it from being done.
// SQLite could wait itself, but would not look at the context.
func patiently(ctx context.Context, limit time.Duration, do func() error) error {
	ends := time.Now().Add(limit)
	for pause := time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		err := do()
		if code(err) != sqlite3.SQLITE_BUSY || time.Now().After(ends) {
			return err
		}
		timer := time.NewTimer(pause/2 + rand.N(pause))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return &persistence.UnavailableError{Reason: "another program holds the journal's file locked, and the caller left", Err: context.Cause(ctx)}
		}
	}
}

func (w *writer) setUp(relaxed bool) error {
	// Before anything else: these change neither the file nor who may read it.
	if err := w.exec("PRAGMA busy_timeout = 0; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY"); err != nil {
		return definite(err)
	}
	have, err := migrated(w.conn)
	if err != nil {
		return err
	}
	if err := w.configure(relaxed); err != nil {
		return definite(err)
	}
	if err := migrate(w.conn, have); err != nil {
		return err
	}
	if err := w.prepareAll(); err != nil {
		return definite(err)
	}
	if w.id, err = identityOf(w.conn); err != nil {
		return err
	}
	if err := w.refresh(mark{}); err != nil {
		return definite(err)
	}
	return nil
}

// configure sets what the journal relies on. Checkpoints are its own business:
// see [Journal.checkpoint].
func (w *writer) configure(relaxed bool) error {
	level := "FULL"
	if relaxed {
		level = "NORMAL"
	}
	row, err := w.firstOf("PRAGMA journal_mode = WAL")
	if err != nil {
		return err
	}
	if len(row) != 1 || row[0] != "wal" {
		return errors.New("turn the write-ahead log on: SQLite keeps another mode")
	}
	return w.exec("PRAGMA synchronous = " + level + `;
		PRAGMA fullfsync = 1; PRAGMA checkpoint_fullfsync = 1;
		PRAGMA cache_size = -65536;
		PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = ` + fmt.Sprint(logLimit))
}

func (w *writer) prepareAll() (err error) {
	if w.eventWriter, err = newEventWriter(w.prepare); err != nil {
		return err
	}
	return prepareAll(w.prepare, []named{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.dataVersion, "PRAGMA data_version"},
		{&w.log, "PRAGMA wal_checkpoint(NOOP)"},
		{&w.copyLog, "PRAGMA wal_checkpoint(PASSIVE)"},
		{&w.cutLog, "PRAGMA wal_checkpoint(TRUNCATE)"},
	})
}

// identityOf is the id that was made with the file.
func identityOf(c *conn) (id persistence.JournalID, err error) {
	row, err := c.firstOf("SELECT id FROM main.journal")
	if err != nil {
		return id, definite(err)
	}
	if row != nil {
		if found, ok := row[0].([]byte); ok && copy(id[:], found) == len(id) {
			return id, nil
		}
	}
	return id, &persistence.CorruptError{Reason: "the journal has no id"}
}

// start begins a transaction that writes. Nobody else does until it ends, so what
// is remembered is true when no other connection has committed since, which the
// data version tells: [Journal.AppendTx] does. Then the tables must prove to be those that
// the journal knows.
func (w *writer) start(ctx context.Context, last mark) error {
	if err := patiently(ctx, w.patience, func() error { return w.begin.run() }); err != nil {
		return err
	}
	return w.refresh(last)
}

func (w *writer) refresh(last mark) error {
	row, err := w.dataVersion.first()
	if err != nil {
		return err
	}
	now, ok := row[0].(int64)
	if !ok {
		return &persistence.CorruptError{Reason: "the data version is no number"}
	}
	if now == w.seen {
		return nil
	}
	if err := w.prove(w.id, last); err != nil {
		return err
	}
	if err := w.reload(); err != nil {
		return unproven(err)
	}
	w.seen = now
	return nil
}

// write stores a batch in one transaction and fills in the outcomes, refusals
// included. After an error nothing of it is stored, unless committing says that
// it came from the commit itself: then it depends, see [undone].
func (w *writer) write(last mark, items []appender.Item, outcomes []persistence.Outcome) (committing bool, err error) {
	if err := w.start(detached, last); err != nil {
		return false, err
	}
	now := time.Now().UnixMicro()
	for i := range items {
		if outcomes[i], err = w.add(&items[i], now); err != nil {
			return false, err
		}
	}
	if err := w.flush(); err != nil {
		return false, err
	}
	return true, w.commit.run()
}

// undo leaves a transaction that has failed, if there still is one: SQLite ends
// it itself after some errors.
func (w *writer) undo() error {
	w.known.forget()
	return w.cancel()
}

// leave leaves a transaction among tables that are not the journal's, of which
// nothing is believed any more.
func (w *writer) leave() error {
	w.known.forget()
	w.seen = -1
	w.drop()
	if err := w.rollback.run(); err != nil && !noTransaction(err) {
		return err
	}
	return nil
}

// cancel leaves a transaction that somebody does not want, after which these
// streams are not known.
func (w *writer) cancel(touched ...persistence.StreamID) error {
	w.drop()
	for _, name := range touched {
		w.known.remove(name)
	}
	if err := w.rollback.run(); err != nil && !noTransaction(err) {
		return err
	}
	return w.findEnds()
}

// statement returns one of the statements that are seldom used, prepared once.
func (w *writer) statement(name string) (*stmt, error) {
	if s := w.once[name]; s != nil {
		return s, nil
	}
	s, err := w.prepare(query(name))
	if err == nil {
		w.once[name] = s
	}
	return s, err
}

// do runs one of those for its effect and returns how many rows it changed.
func (w *writer) do(name string, args ...driver.Value) (int64, error) {
	s, err := w.statement(name)
	if err != nil {
		return 0, err
	}
	return s.change(args...)
}

// reader reads what the open transaction sees.
func (w *writer) reader() (*reader, error) {
	if w.inside == nil {
		r, err := newReader(w.conn)
		if err != nil {
			return nil, err
		}
		w.inside = r
	}
	return w.inside, nil
}
