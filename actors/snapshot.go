package actors

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// snapshotting is how the state of a kind is kept in snapshots.
type snapshotting struct {
	every       int
	when        func(state any, events int) bool
	version     int
	save        func(state any) any         // nil is the state itself
	load        func(saved any) (state any) // nil is the state itself
	saved       reflect.Type                // what is encoded,
	codec       *codec.Type                 // and how
	fingerprint string
}

// SnapshotEvery keeps the state in the journal every so many events, so that an
// aggregate with a long history comes back from the last snapshot and the events
// after it. A snapshot is taken after a reply and written behind everybody's back;
// one that is missing, damaged, of another program's state or of another stream is
// passed over, and the events are read instead.
//
// What is kept is the state as JSON, or in protobuf if it is a message. A state of
// which a part would not come back, such as an unexported field, needs [SnapshotAs]: see
// package codec. When the On methods change their
// meaning, so that the same events come to another state, raise [StateVersion].
// A journal that keeps no snapshots is read as if there were no such part.
func SnapshotEvery[S any](events int) Part[S] {
	return func(a *Aggregate[S]) {
		if events <= 0 {
			a.d.problem("SnapshotEvery(%d) is not positive", events)
		}
		a.d.snapshot().every = events
	}
}

// SnapshotWhen is [SnapshotEvery] with a rule of your own: it is asked after a
// reply, with the number of events since the last snapshot, and must only look at
// the state.
func SnapshotWhen[S any](due func(state *S, events int) bool) Part[S] {
	return func(a *Aggregate[S]) {
		if due == nil {
			a.d.problem("SnapshotWhen has a nil rule")
			return
		}
		a.d.snapshot().when = func(state any, events int) bool { return due(state.(*S), events) }
	}
}

// SnapshotAs says what is kept of a state, and how the state is made from it. P is
// a protobuf message or a type that JSON keeps whole. What save returns must not
// share memory with the state, because it is encoded while the aggregate goes on.
func SnapshotAs[S, P any](save func(*S) P, load func(P) *S) Part[S] {
	return func(a *Aggregate[S]) {
		if save == nil || load == nil {
			a.d.problem("SnapshotAs has a nil function")
			return
		}
		s := a.d.snapshot()
		s.saved = reflect.TypeFor[P]()
		s.save = func(state any) any { return save(state.(*S)) }
		s.load = func(saved any) any { return load(saved.(P)) }
	}
}

// StateVersion tells snapshots apart whose states look alike and mean different
// things. It must not be negative. Raise it when an On method changes what it makes of an event.
func StateVersion[S any](version int) Part[S] {
	return func(a *Aggregate[S]) {
		if version < 0 {
			a.d.problem("StateVersion(%d) is negative: begin with 1, and raise it", version)
		}
		a.d.snapshot().version = version
	}
}

// snapshot is where parts say something about snapshots.
func (d *definition) snapshot() *snapshotting {
	if d.snapshots == nil {
		d.snapshots = &snapshotting{}
	}
	return d.snapshots
}

// completeSnapshots ends what the parts said about snapshots.
func (d *definition) completeSnapshots() {
	s := d.snapshots
	switch {
	case s == nil:
		return
	case s.every == 0 && s.when == nil:
		d.snapshots = nil
		return
	case s.saved == nil:
		s.saved = reflect.TypeOf(d.newState())
	}
	var err error
	if s.codec, err = codec.OfState(s.saved, "snapshot"); err != nil {
		d.problem("a snapshot of the state: %w; or keep another type with SnapshotAs", err)
	}
	s.fingerprint = fmt.Sprintf("1/%d/%016x", s.version, codec.Shape(s.saved))
}

// decode makes a state of what was saved of it. Load is user code: a panic in it
// makes the snapshot useless and nothing else.
func (s *snapshotting) decode(data []byte) (state any, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = ended(reason, false)
		}
	}()
	saved, err := s.codec.Decode(data)
	if err != nil || s.load == nil {
		return saved, err
	}
	return s.load(saved), nil
}

// taken is a snapshot on its way to the journal: a state at a version that is
// durable, or will be before anybody writes it.
type taken struct {
	of        *definition
	stream    persistence.StreamID
	version   persistence.Version
	saved     any    // what of the state is to be encoded,
	encoded   []byte // or that it is already
	commands  stored.Remembered
	forgotten int64
	open      []*sending
	reacted   reacted
}

// due reports that a snapshot should be taken after so many events.
func (s *snapshotting) due(state any, events int) bool {
	return s.every > 0 && events >= s.every || s.when != nil && s.when(state, events)
}

// copy copies the state as far as needed: without a function that does, it is
// encoded at once. Nil is none that is due.
func (s *snapshotting) copy(a *activation) (t *taken, err error) {
	defer func() {
		if reason := recover(); reason != nil {
			err = a.system.traced(reason)
		}
	}()
	if !s.due(a.state, int(a.version-a.snapshotted)) { //nolint:gosec // a number of events
		return nil, nil
	}
	t = &taken{of: a.key.kind, stream: a.stream, version: a.version}
	t.commands, t.forgotten = a.memory.Encode()
	t.open, t.reacted = a.open, a.reacted
	if s.save != nil {
		t.saved = s.save(a.state)
		return t, nil
	}
	t.encoded, err = s.codec.Encode(a.state)
	return t, err
}

// body is the snapshot as the journal keeps it.
func (t *taken) body() ([]byte, error) {
	if t.encoded == nil {
		var err error
		if t.encoded, err = t.of.snapshots.codec.Encode(t.saved); err != nil {
			return nil, err
		}
	}
	kept := stored.Snapshot{State: t.encoded, Forgotten: t.forgotten, Remembered: t.commands, Open: keptSends(t.open), Reacted: t.reacted}
	return kept.Encode()
}

// readSnapshot returns what the events up to the version of a snapshot come to.
func (d *definition) readSnapshot(snapshot *persistence.Snapshot, keep dedupe.Retention) (p folded, err error) {
	if snapshot.Fingerprint != d.snapshots.fingerprint {
		return p, errors.New("another state")
	}
	kept, err := stored.ReadSnapshot(snapshot.State)
	if err != nil {
		return p, err
	}
	if p.state, err = d.snapshots.decode(kept.State); err != nil {
		return p, err
	}
	if p.state == nil || reflect.ValueOf(p.state).IsNil() {
		return p, errors.New("no state")
	}
	if p.open, err = sendsOf(kept.Open); err != nil {
		return p, err
	}
	p.reacted = kept.Reacted
	p.memory = dedupe.Decode(kept.Remembered, kept.Forgotten, keep)
	return p, nil
}
