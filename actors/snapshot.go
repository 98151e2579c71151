package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"sync"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// snapshotting says how the state of a kind is kept in snapshots.
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
// after it. A snapshot is taken after a reply and written in the background. One that
// is missing, damaged, of another program's state or of another stream is passed over, and
// the events are read instead.
//
// The state is kept as JSON, or in protobuf if it is a message. When a part of it would
// not come back, such as an unexported field, use [SnapshotAs]: see package codec. When
// the On methods change their meaning, so that the same events make another state, raise
// [StateVersion]. With a journal that keeps no snapshots this part has no effect.
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

// SnapshotAs says what is kept of a state, and how the state is made from it. P is a
// protobuf message or a type that JSON keeps whole. The result of save must not share
// memory with the state, because it is encoded while the aggregate goes on.
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

// StateVersion distinguishes snapshots whose states look alike and mean different
// things. It must not be negative. Raise it when an On method changes what it makes of an event.
func StateVersion[S any](version int) Part[S] {
	return func(a *Aggregate[S]) {
		if version < 0 {
			a.d.problem("StateVersion(%d) is negative: begin with 1, and raise it", version)
		}
		a.d.snapshot().version = version
	}
}

// snapshot returns what the parts say about snapshots, for one more to say.
func (d *definition) snapshot() *snapshotting {
	if d.snapshots == nil {
		d.snapshots = &snapshotting{}
	}
	return d.snapshots
}

// completeSnapshots checks and completes what the parts say about snapshots.
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

// decode makes a state of its saved form. A panic in load, which is user code, is an error.
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

// copy takes a snapshot of the state, nil when none is due. Without a save function, which
// copies the state, it is encoded at once.
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

// body returns the snapshot as the journal keeps it.
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

// snapshots writes snapshots in the background, with a few workers that exist only while
// there is work. It drops snapshots that cannot be written: the next one comes.
type snapshots struct {
	system *System
	keeper persistence.Snapshots // nil when the journal keeps none
	life   lifetime              // the system's: workers outlive every call

	mu      sync.Mutex // protects the rest
	queue   fifo.Queue[*taken]
	workers int
	closed  bool
	done    sync.WaitGroup
}

const (
	snapshotWorkers  = 2
	maxSnapshotQueue = 256 // each holds a state
)

func newSnapshots(s *System) *snapshots {
	w := &snapshots{system: s, life: newLifetime()}
	w.keeper, _ = persistence.As[persistence.Snapshots](s.config.Journal)
	return w
}

// take takes a snapshot of an aggregate if one is due. The snapshot is written when the
// last decided command is durable.
func (w *snapshots) take(a *activation) {
	s := a.key.kind.snapshots
	if s == nil || w.keeper == nil || a.phase != live || a.dirty || a.version == a.snapshotted {
		return
	}
	a.copying = true
	t, err := s.copy(a)
	a.copying = false
	switch {
	case err != nil:
		w.lost(a, err)
	case t == nil:
	case a.pending.Len() > 0:
		a.snapshotted = a.version
		(*a.pending.At(a.pending.Len() - 1)).snapshot = t
	default:
		a.snapshotted = a.version
		w.offer(t)
	}
}

// lost counts and logs a snapshot that could not be taken; the next one comes.
func (w *snapshots) lost(a *activation, err error) {
	a.copying, a.snapshotted = false, a.version
	w.system.stats.snapshotsDropped.Add(1)
	w.system.config.Logger.Warn("snapshot not taken", slog.String("stream", string(a.stream)), slog.Any("err", err))
}

// offer queues a snapshot to be written unless too many wait.
func (w *snapshots) offer(t *taken) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || w.queue.Len() >= maxSnapshotQueue {
		w.system.stats.snapshotsDropped.Add(1)
		return
	}
	w.queue.Push(t)
	if w.workers < snapshotWorkers {
		w.workers++
		w.done.Go(w.work) // owned by the system, see Close
	}
}

func (w *snapshots) work() {
	for t := w.next(); t != nil; t = w.next() {
		if err := w.write(t); err != nil {
			w.system.stats.snapshotsDropped.Add(1)
			w.system.config.Logger.Warn("snapshot not written", slog.String("stream", string(t.stream)), slog.Any("err", err))
			continue
		}
		w.system.stats.snapshots.Add(1)
	}
}

func (w *snapshots) next() *taken {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.queue.Len() == 0 {
		w.workers--
		return nil
	}
	return w.queue.Pop()
}

func (w *snapshots) write(t *taken) error {
	ctx, cancel := w.life.attempt()
	defer cancel()
	var body []byte
	err := usercode.Call(func() (err error) {
		body, err = t.body()
		return err
	})
	if err != nil {
		return err
	}
	// The id of the event is what ties the snapshot to this stream and no other of its
	// name; ids are made by the journal.
	for recorded, err := range w.system.config.Journal.Read(ctx, t.stream, persistence.ReadOptions{From: t.version, Limit: 1}) {
		if err != nil {
			return err
		}
		return w.keeper.SaveSnapshot(ctx, persistence.Snapshot{
			Stream: t.stream, Version: t.version, EventID: recorded.ID, Fingerprint: t.of.snapshots.fingerprint, State: body,
		})
	}
	return errors.New("the event at its version is gone")
}

// stop takes nothing more and writes what it has, as far as ctx allows.
func (w *snapshots) stop(ctx context.Context) {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	stopped := context.AfterFunc(ctx, func() { w.life.end(errSystemClosed) })
	defer stopped()
	w.done.Wait()
	w.life.end(errSystemClosed)
}

// load begins a recovery at the snapshot of its stream, if there is one of use.
func (r *recoveries) load(ctx context.Context, a *recovery) {
	if err := a.load(ctx, r.keeper); err != nil {
		r.ignore(a, err)
	}
}

// ignore begins a recovery without the snapshot.
func (r *recoveries) ignore(a *recovery, err error) {
	a.of.system.stats.snapshotsIgnored.Add(1)
	a.of.system.config.Logger.Info("snapshot ignored", slog.String("stream", string(a.stream)), slog.Any("err", err))
	a.restart()
}
