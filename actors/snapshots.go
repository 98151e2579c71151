package actors

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// snapshots writes snapshots behind everybody's back, by a few workers that exist
// only while there is work. What it cannot write it drops: the next one comes.
type snapshots struct {
	system *System
	keeper persistence.Snapshots // nil when the journal keeps none
	ctx    context.Context       //nolint:containedctx // ends with the system: workers outlive every call
	cancel context.CancelCauseFunc

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
	w := &snapshots{system: s}
	w.keeper, _ = persistence.As[persistence.Snapshots](s.config.Journal)
	w.ctx, w.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, ended by stop
	return w
}

// offer takes a snapshot unless too many wait.
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
	ctx, cancel := context.WithTimeoutCause(w.ctx, recoveryNoProgress, errNoProgress)
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
	stopped := context.AfterFunc(ctx, func() { w.cancel(errSystemClosed) })
	defer stopped()
	w.done.Wait()
	w.cancel(errSystemClosed)
}

// load begins a recovery at the snapshot of its stream, if there is one of use.
func (r *recoveries) load(ctx context.Context, a *recovery) {
	kind := a.of.key.kind
	if a.state != nil || kind.snapshots == nil || r.keeper == nil || a.from != nil {
		return
	}
	snapshot, found, err := r.keeper.LoadSnapshot(ctx, a.of.stream)
	if err != nil || !found {
		return // a journal that is away says so again when the events are read
	}
	var p past
	err = usercode.Call(func() (err error) {
		p, err = kind.pastOf(&snapshot, r.keep)
		return err
	})
	if err != nil {
		r.ignore(a, err)
		return
	}
	// The event at the version is read again, to see that it is the one.
	a.past, a.version, a.snapshotted, a.from = p, snapshot.Version-1, snapshot.Version, &snapshot
	a.from.State = nil
}

// ignore begins a recovery without the snapshot.
func (r *recoveries) ignore(a *recovery, err error) {
	a.of.system.stats.snapshotsIgnored.Add(1)
	a.of.system.config.Logger.Info("snapshot ignored", slog.String("stream", string(a.of.stream)), slog.Any("err", err))
	a.past, a.from = past{state: a.of.key.kind.newState()}, nil
}

var errOtherStream = errors.New("the stream is not the one it was taken of")
