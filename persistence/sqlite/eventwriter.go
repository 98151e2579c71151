package sqlite

import (
	"database/sql/driver"
	"errors"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
)

// eventWriter decides about appends and writes their rows, in a transaction that
// somebody else begins and ends. It knows the ends of all streams it has met
// lately, so that most appends need no query before their insert.
type eventWriter struct {
	findStream, findKey, eventAt, lastOf *stmt
	events, streams, keys, tags          *inserter

	last       int64 // position of the last event, in this transaction
	lastID     persistence.EventID
	lastStream int64
	known      cache[persistence.StreamID, stream]
}

// stream is what is remembered of a stream; id 0 means that it has no row.
type stream struct {
	id      int64
	version persistence.Version
	first   persistence.Version // the lowest that can be read
	created bool
}

func (s *stream) admits(expected persistence.Expected) bool {
	return expected.Admits(s.version, s.first, s.created)
}

func (s *stream) exists() bool { return s.admits(persistence.StreamExists) }

// knownStreams is how many streams a writer remembers at least, for some 10 MiB.
const knownStreams = 1 << 16

func newEventWriter(prepare prepare) (*eventWriter, error) {
	s := &eventWriter{
		events: newInserter(prepare, "event_insert", 11), streams: newInserter(prepare, "stream_insert", 3),
		keys: newInserter(prepare, "key_insert", 3), tags: newInserter(prepare, "tag_insert", 2),
		known: cache[persistence.StreamID, stream]{size: knownStreams},
	}
	return s, prepareAll(prepare, []named{
		{&s.findStream, query("stream_find")},
		{&s.findKey, query("key_find")},
		{&s.eventAt, query("event_at")},
		{&s.lastOf, query("last")},
	})
}

// named says where a statement goes.
type named struct {
	dest **stmt
	text string
}

func prepareAll(prepare prepare, statements []named) (err error) {
	for _, s := range statements {
		if *s.dest, err = prepare(s.text); err != nil {
			return err
		}
	}
	return nil
}

// reload forgets what the eventWriter believes and asks the file.
func (s *eventWriter) reload() error {
	s.known.forget()
	return s.findEnds()
}

// findEnds asks the file where the sequence and the numbers of streams end.
func (s *eventWriter) findEnds() error {
	row, err := s.lastOf.first()
	if err != nil {
		return err
	}
	c := columns{row: row}
	s.last, s.lastStream = c.integer(0), c.integer(1)
	if s.lastID = (persistence.EventID{}); s.last > 0 {
		s.lastID = c.id(2)
	}
	if c.wrong {
		return &persistence.CorruptError{Reason: "the last position is no number"}
	}
	return nil
}

// add decides about one append and gathers its rows. The next append to the same
// stream must not come before a flush.
func (s *eventWriter) add(item *appender.Item, now int64) (persistence.Outcome, error) {
	at, err := s.stream(item.Stream)
	if err != nil {
		return persistence.Outcome{}, err
	}
	if item.Named && at.id != 0 {
		if outcome, found, err := s.stored(item, at); found || err != nil {
			return outcome, err
		}
	}
	if !at.admits(item.Expected) {
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: at.version}}, nil
	}
	if len(item.Events) == 0 {
		return persistence.Outcome{Last: at.version}, nil
	}
	if at.id == 0 {
		s.lastStream++
		at.id = s.lastStream
		if err := s.streams.add(at.id, string(item.Stream), text(item.Stream.Category())); err != nil {
			return persistence.Outcome{}, err
		}
	}
	outcome := persistence.Outcome{First: at.version + 1, Position: persistence.Position{Offset: s.last + 1}}
	for i := range item.Events {
		at.version++
		if err := s.addEvent(&item.Events[i], at, now, item.Named); err != nil {
			return persistence.Outcome{}, err
		}
	}
	outcome.Last = at.version
	// Before the commit: after one that fails everything known is forgotten.
	s.known.put(item.Stream, at)
	return outcome, nil
}

func (s *eventWriter) addEvent(e *persistence.Event, at stream, now int64, named bool) error {
	s.last++
	s.lastID = e.ID
	if named {
		if err := s.keys.add(at.id, e.ID[:], int64(at.version)); err != nil {
			return err
		}
	}
	for _, tag := range e.Tags {
		if err := s.tags.add(tag, s.last); err != nil {
			return err
		}
	}
	tags, err := encodeTags(e.Tags)
	if err != nil {
		return err
	}
	return s.events.add(s.last, at.id, int64(at.version), e.ID[:], now, int64(e.Schema), e.Type, tags,
		text(persistence.EncodeMetadata(e.Metadata)), blob(e.Headers), blob(e.Payload))
}

// flush writes the rows that were gathered.
func (s *eventWriter) flush() error {
	return errors.Join(s.streams.flush(), s.events.flush(), s.keys.flush(), s.tags.flush())
}

// drop forgets the rows that were gathered.
func (s *eventWriter) drop() {
	for _, in := range [...]*inserter{s.streams, s.events, s.keys, s.tags} {
		in.drop()
	}
}

// stream returns what the transaction sees of a stream.
func (s *eventWriter) stream(name persistence.StreamID) (stream, error) {
	if at, found := s.known.get(name); found {
		return at, nil
	}
	at, _, err := lookUp(s.findStream, name)
	return at, err
}

// lookUp asks the file for a stream. One that has no row is at its beginning.
func lookUp(find *stmt, name persistence.StreamID) (stream, persistence.StreamInfo, error) {
	row, err := find.first(string(name))
	if err != nil || row == nil {
		return stream{first: 1}, persistence.StreamInfo{Stream: name, First: 1, Begin: 1}, err
	}
	return decodeStream(row)
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
