package actors

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// Times of sweeping.
const (
	sweepEvery = 30 * time.Second
	sweepAgain = time.Second // after a failure, or when there was more than a round takes

	// sweepAhead is how long before its time the deliverer hears of what is due: two
	// rounds, so that nothing falls between them.
	sweepAhead = 2 * sweepEvery

	// longestSweep limits the time for which a sender is not woken again when nothing has
	// changed since it was woken for an overdue command: what it has open rests in the
	// deliverer, which needs no waking for it, or is set aside here.
	longestSweep = time.Hour
)

// maxWakes is the number of aggregates that the deliverer holds for waking by the search.
const maxWakes = 200_000

// openSearch finds what aggregates have open and nobody takes care of, and wakes them: when
// a system starts, what those before it have left; later, what other systems on the
// journal have, what was lost here, and what has come near its time. It reads the
// events of the kinds that send from the place of the last list of what is open, see
// [openList], and from then on what has come.
type openSearch struct {
	system *System
	kinds  []string
	list   persistence.StreamID // of lists for these kinds
	begun  bool
	after  persistence.Positions
	open   map[persistence.StreamID]stored.Open // of streams with any
	count  int                                  // commands open in them
	until  int64                                // what is due up to then was handed to the deliverer; unix microseconds
	more   bool                                 // of it than a round takes was left
	kept   int64                                // events that the last list covers
	late   map[persistence.StreamID]lateness    // of streams that were woken for what is overdue
}

// lateness is when a stream is to be woken again, if nothing changes until then.
type lateness struct {
	pause time.Duration
	until time.Time
}

// openCount is the approximate number of open sent commands.
type openCount struct {
	found atomic.Int64 // at the last look into the journal
	since atomic.Int64 // added here
}

func (s *System) pending() int { return int(s.open.found.Load() + s.open.since.Load()) }

func newOpenSearch(s *System, kinds []string) *openSearch {
	w := &openSearch{system: s, kinds: kinds, list: openListOf(kinds)}
	w.reset()
	return w
}

// reset forgets all that was read.
func (w *openSearch) reset() {
	w.begun, w.after, w.open, w.count, w.until, w.more, w.kept = false, nil, map[persistence.StreamID]stored.Open{}, 0, math.MinInt64, false, 0
	w.late = map[persistence.StreamID]lateness{}
}

func (w *openSearch) run(ctx context.Context) error {
	for pause := time.Duration(0); ; {
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil
		}
		pause = sweepEvery
		if err := w.round(ctx); err != nil {
			// Without rounds the deliverer has to know of everything by itself.
			w.system.deliverer.look(0)
			pause = sweepAgain
			if ctx.Err() == nil && w.system.sweeping.failed(err) {
				w.system.config.Logger.Warn("open sends not looked for", slog.Any("err", err))
			}
		} else {
			w.system.sweeping.succeeded()
			if w.more {
				pause = sweepAgain
			}
		}
	}
}

// round reads what has come, and wakes who is to be woken.
func (w *openSearch) round(ctx context.Context) error {
	began, counted := time.Now(), w.system.open.since.Load()
	if !w.begun {
		if err := w.load(ctx); err != nil {
			return err
		}
		w.begun = true
	}
	if err := w.read(ctx); err != nil {
		if errors.Is(err, persistence.ErrLostTail) {
			w.reset() // a server took over that lacks what was read
		}
		return err
	}
	w.system.open.found.Store(int64(w.count))
	w.system.open.since.Add(-counted)
	w.wake(began)
	w.keep(ctx)
	return nil
}

func (w *openSearch) read(ctx context.Context) error {
	options := persistence.ReadAllOptions{After: w.after, Filter: filter.Category().In(w.kinds...), PageRows: 2000}
	for page, err := range w.system.config.Journal.ReadAll(ctx, options) {
		if err != nil {
			return err
		}
		for i := range page.Events {
			w.apply(&page.Events[i])
		}
		w.after = page.Next
		if page.AtHead {
			return nil
		}
	}
	return nil
}

// apply changes what is open by an event. One that cannot be read is its aggregate's
// trouble, which cannot be read either.
func (w *openSearch) apply(recorded *persistence.Recorded) {
	about, err := stored.ReadAbout(recorded)
	if err == nil && about.Sends == nil && recorded.Type != persistence.TypeDeleted {
		return
	}
	sends, unread := stored.ReadSends(about.Sends)
	if err != nil || unread != nil || recorded.Type == persistence.TypeDeleted {
		sends = nil
	}
	w.set(recorded.Stream, stored.Open{Next: sends.GetNext(), Count: sends.GetOpen()})
}

func (w *openSearch) set(stream persistence.StreamID, open stored.Open) {
	before, known := w.open[stream]
	w.count += int(open.Count) - int(before.Count)
	delete(w.late, stream)
	switch {
	case open.Count == 0:
		delete(w.open, stream)
	case known:
		w.open[stream] = open
	default:
		w.open[persistence.StreamID(strings.Clone(string(stream)))] = open // not all of its page
	}
}

// sender is the aggregate of a stream.
func (w *openSearch) sender(stream persistence.StreamID) key {
	kind := stream.Category()
	return key{w.system.definitions[kind], string(stream)[len(kind)+1:]}
}

// wake has the deliverer wake aggregates when something of theirs is due. In this
// round that is what comes near its time, and what is overdue for so long that who
// stored it does not deliver it.
func (w *openSearch) wake(began time.Time) {
	by := began.Add(sweepAhead)
	until, left := by.UnixMicro(), began.Add(-sweepEvery).UnixMicro()
	var due []openStream
	for stream, open := range w.open {
		near := open.Next > w.until && open.Next <= until
		if near || !w.more && open.Next < left && !began.Before(w.late[stream].until) {
			found := openStream{stream: stream, next: open.Next}
			if open.Next < left {
				found.overdue = open
			}
			due = append(due, found)
		}
	}
	slices.SortFunc(due, func(a, b openStream) int { return cmp.Or(cmp.Compare(a.next, b.next), cmp.Compare(a.stream, b.stream)) })
	d := w.system.deliverer
	d.look(sweepAhead) // also when there is more: a round to come brings what is due later
	taken := d.wakeDue(due, by, w.sender)
	for _, found := range due[:taken] {
		if found.overdue.Count > 0 {
			w.woken(found.stream, began)
		}
	}
	if w.more = taken < len(due); w.more {
		w.until = max(w.until, due[taken].next-1)
		return
	}
	w.until = until
	d.forgetBackoffs(began, func(of key, due int64) bool {
		open := w.open[of.stream()]
		return open.Count == 0 || open.Next > due
	})
}

// woken notes that a stream was woken for what is overdue. The next time comes after a
// pause that grows.
func (w *openSearch) woken(stream persistence.StreamID, now time.Time) {
	pause := min(max(2*w.late[stream].pause, sweepEvery), longestSweep)
	w.late[stream] = lateness{pause, now.Add(spread(pause, w.sender(stream)))}
}

// openStream is a stream with something open, the first of which is due at a time.
type openStream struct {
	next   int64
	stream persistence.StreamID
	// overdue is all that is open when who stored it should have delivered it long ago.
	overdue stored.Open
}
