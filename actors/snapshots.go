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

// take takes a snapshot of an aggregate if one is due. It becomes the last decided
// command's, to be written when that is durable.
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

// lost goes on without a snapshot that could not be taken; the next one comes.
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
	if err := a.fold.load(ctx, r.keeper); err != nil {
		r.ignore(a, err)
	}
}

// ignore begins a recovery without the snapshot.
func (r *recoveries) ignore(a *recovery, err error) {
	a.of.system.stats.snapshotsIgnored.Add(1)
	a.of.system.config.Logger.Info("snapshot ignored", slog.String("stream", string(a.stream)), slog.Any("err", err))
	a.restart()
}
