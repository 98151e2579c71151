package sqlite

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
)

// writer is the one connection that writes. It knows the ends of all streams it
// has met lately, so that most appends need no query before their insert: no
// other process writes, and if one did the unique key would refuse.
type writer struct {
	*conn
	id persistence.JournalID

	begin, commit, rollback *stmt
	findStream, findKey     *stmt
	eventAt, lastOf         *stmt
	events, streams, keys   *inserter
	log, copyLog, cutLog    *stmt
	tried                   int64 // length of the log when it was last checkpointed

	last       int64 // position of the last event, in this transaction
	lastStream int64
	known      recent[persistence.StreamID, stream]
	moved      []moved // what known becomes when the transaction commits
}

// stream is what the writer knows of a stream; id 0 means that it has no row.
type stream struct {
	id      int64
	version persistence.Version
}

type moved struct {
	name persistence.StreamID
	to   stream
}

// knownStreams is how many streams the writer remembers at least, for some 10 MiB.
const knownStreams = 1 << 16

func openWriter(file string, relaxed bool) (*writer, error) {
	c, err := connect(file, "rwc")
	if err != nil {
		return nil, definite(err)
	}
	w := &writer{conn: c, known: recent[persistence.StreamID, stream]{size: knownStreams}}
	if err := w.setUp(relaxed); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return w, nil
}

func (w *writer) setUp(relaxed bool) error {
	// Before anything else: these change neither the file nor who may read it.
	if err := w.exec("PRAGMA busy_timeout = 5000; PRAGMA foreign_keys = OFF; PRAGMA temp_store = MEMORY"); err != nil {
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
	if err := w.identify(); err != nil {
		return err
	}
	return w.reload()
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

func (w *writer) prepareAll() error {
	for _, s := range []struct {
		dest **stmt
		text string
	}{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},
		{&w.findStream, query("stream_head")},
		{&w.findKey, query("key_find")},
		{&w.eventAt, query("event_at")},
		{&w.lastOf, query("last")},
		{&w.log, "PRAGMA wal_checkpoint(NOOP)"},
		{&w.copyLog, "PRAGMA wal_checkpoint(PASSIVE)"},
		{&w.cutLog, "PRAGMA wal_checkpoint(TRUNCATE)"},
	} {
		var err error
		if *s.dest, err = w.prepare(s.text); err != nil {
			return err
		}
	}
	var errs [3]error
	w.events, errs[0] = newInserter(w.conn, "event_insert", 11)
	w.streams, errs[1] = newInserter(w.conn, "stream_insert", 3)
	w.keys, errs[2] = newInserter(w.conn, "key_insert", 3)
	return errors.Join(errs[:]...)
}

func (w *writer) identify() error {
	row, err := w.firstOf("SELECT id FROM main.journal")
	if err != nil {
		return definite(err)
	}
	if row != nil {
		if id, ok := row[0].([]byte); ok && copy(w.id[:], id) == len(w.id) {
			return nil
		}
	}
	return &persistence.CorruptError{Reason: "the journal has no id"}
}

// reload forgets what the writer believes and asks the file.
func (w *writer) reload() error {
	w.known.forget()
	row, err := w.lastOf.first()
	if err != nil {
		return definite(err)
	}
	var ok [2]bool
	w.last, ok[0] = row[0].(int64)
	w.lastStream, ok[1] = row[1].(int64)
	if !ok[0] || !ok[1] {
		return &persistence.CorruptError{Reason: "the last position is no number"}
	}
	return nil
}

// write stores a batch in one transaction and fills in the outcomes, refusals
// included. After an error nothing of it is stored, unless committing says that
// it came from the commit itself: then it depends, see [undone].
func (w *writer) write(batch *appender.Batch, outcomes []persistence.Outcome) (committing bool, err error) {
	if err := w.begin.run(); err != nil {
		return false, err
	}
	now := time.Now().UnixMicro()
	for i := range batch.Items {
		if outcomes[i], err = w.add(&batch.Items[i], now); err != nil {
			return false, err
		}
	}
	if err := errors.Join(w.streams.flush(), w.events.flush(), w.keys.flush()); err != nil {
		return false, err
	}
	if err := w.commit.run(); err != nil {
		return true, err
	}
	for _, m := range w.moved {
		w.known.put(m.name, m.to)
	}
	w.moved = w.moved[:0]
	return false, nil
}

// undo leaves the transaction, if there still is one: SQLite ends it itself
// after some errors.
func (w *writer) undo() error {
	w.moved = w.moved[:0]
	w.streams.drop()
	w.events.drop()
	w.keys.drop()
	if err := w.rollback.run(); err != nil && !noTransaction(err) {
		return err
	}
	return w.reload()
}

// add decides about one append and gathers its rows.
func (w *writer) add(item *appender.Item, now int64) (persistence.Outcome, error) {
	s, err := w.stream(item.Stream)
	if err != nil {
		return persistence.Outcome{}, err
	}
	if len(item.Events) == 0 {
		return persistence.Outcome{Last: s.version}, nil
	}
	if item.Named && s.id != 0 {
		if outcome, found, err := w.stored(item, s); found || err != nil {
			return outcome, err
		}
	}
	if !item.Expected.Accepts(s.version) {
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: s.version}}, nil
	}
	if s.id == 0 {
		w.lastStream++
		s.id = w.lastStream
		if err := w.streams.add(s.id, string(item.Stream), text(item.Stream.Category())); err != nil {
			return persistence.Outcome{}, err
		}
	}
	outcome := persistence.Outcome{First: s.version + 1, Position: persistence.Position{Offset: w.last + 1}}
	for i := range item.Events {
		s.version++
		if err := w.addEvent(&item.Events[i], s, now, item.Named); err != nil {
			return persistence.Outcome{}, err
		}
	}
	outcome.Last = s.version
	w.moved = append(w.moved, moved{name: item.Stream, to: s})
	return outcome, nil
}

func (w *writer) addEvent(e *persistence.Event, s stream, now int64, named bool) error {
	w.last++
	if named {
		if err := w.keys.add(s.id, e.ID[:], int64(s.version)); err != nil {
			return err
		}
	}
	tags, err := encodeTags(e.Tags)
	if err != nil {
		return err
	}
	return w.events.add(w.last, s.id, int64(s.version), e.ID[:], now, int64(e.Schema), e.Type, tags,
		text(persistence.EncodeMetadata(e.Metadata)), blob(e.Headers), blob(e.Payload))
}

// stream returns what is committed of a stream.
func (w *writer) stream(name persistence.StreamID) (stream, error) {
	if s, found := w.known.get(name); found {
		return s, nil
	}
	row, err := w.findStream.first(string(name))
	if err != nil || row == nil {
		return stream{}, err
	}
	id, ok := row[0].(int64)
	version, ok2 := row[1].(int64)
	if !ok || !ok2 || version <= 0 {
		return stream{}, &persistence.CorruptError{Stream: name, Reason: "the stream has no version"}
	}
	return stream{id: id, version: persistence.Version(version)}, nil
}

// text and blob are NULL when empty.
func text[T ~string | ~[]byte](s T) driver.Value {
	if len(s) == 0 {
		return nil
	}
	return string(s)
}

func blob(b []byte) driver.Value {
	if len(b) == 0 {
		return nil
	}
	return b
}
