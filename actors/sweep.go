package actors

import (
	"context"
	"log/slog"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Times of sweeping.
const (
	sweepEvery = 30 * time.Second
	sweepAgain = time.Second // after a failure
)

// sweep finds what aggregates have open and nobody takes care of, and wakes them: when
// a system starts, what those before it have left; later, what other systems on the
// journal have, or what was lost here. It reads the events of the kinds that send from
// the beginning of the journal once, and from then on what has come.
type sweep struct {
	system *System
	kinds  []string
	after  persistence.Positions
	open   map[persistence.StreamID][]pendingSend // of streams with any
}

// pendingSend is as little as must be known of what is open.
type pendingSend struct {
	id  persistence.CommandID
	due int64 // unix microseconds
}

func (w *sweep) run(ctx context.Context) error {
	for pause, grace := time.Duration(0), time.Duration(0); ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = sweepEvery
		if err := w.read(ctx); err != nil {
			if ctx.Err() == nil {
				w.system.config.Logger.Warn("open sends not looked for", slog.Any("err", err))
			}
			pause = sweepAgain
			continue
		}
		w.wake(time.Now().Add(-grace))
		grace = sweepEvery // what is younger is being delivered by who stored it
	}
}

func (w *sweep) read(ctx context.Context) error {
	options := persistence.ReadAllOptions{After: w.after, Filter: filter.Category().In(w.kinds...), PageRows: 2000}
	for page, err := range w.system.config.Journal.ReadAll(ctx, options) {
		if err != nil {
			return err
		}
		for i := range page.Events {
			w.take(&page.Events[i])
		}
		w.after = page.Next
		if page.AtHead {
			return nil
		}
	}
	return nil
}

// take changes what is open by an event.
func (w *sweep) take(recorded *persistence.Recorded) {
	var stored stelev1.Sends
	about, err := toldBy(recorded)
	if recorded.Type == persistence.TypeDeleted || err != nil || proto.Unmarshal(about.sends, &stored) != nil {
		delete(w.open, recorded.Stream)
		return
	}
	if about.sends == nil {
		return
	}
	var next []pendingSend
	for _, p := range w.open[recorded.Stream] {
		if !contains(stored.GetDone(), p.id) {
			next = append(next, p)
		}
	}
	for i, s := range stored.GetSent() {
		next = append(next, pendingSend{sentID(recorded.Stream, recorded.Version, i), s.GetDue()})
	}
	if len(next) == 0 {
		delete(w.open, recorded.Stream)
		return
	}
	w.open[recorded.Stream] = next
}

func contains(ids [][]byte, id persistence.CommandID) bool {
	for _, done := range ids {
		if string(done) == string(id[:]) {
			return true
		}
	}
	return false
}

// wake wakes the senders of what is due before a time now, and the others when the
// first of theirs is due.
func (w *sweep) wake(before time.Time) {
	d := w.system.deliverer
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	for stream, open := range w.open {
		due := open[0].due
		for _, p := range open[1:] {
			due = min(due, p.due)
		}
		at := time.UnixMicro(due)
		if at.After(now) || at.Before(before) {
			kind := stream.Category()
			d.wakeAt(key{w.system.definitions[kind], string(stream)[len(kind)+1:]}, at)
		}
	}
}
