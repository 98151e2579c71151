package actors

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Health is the state of a part of a [System].
type Health struct {
	// Part is the name of the part, which never changes: "appends", "recoveries",
	// "aggregates", "sends".
	Part string
	// Level says how much attention the part needs.
	Level persistence.Level
	// Reason says in words why the part is not green.
	Reason string
}

// When what goes wrong wants more attention.
const (
	appendsRed = 30 * time.Second
	sendsRed   = 10 * time.Minute
)

// Health returns how the parts of the system are, without asking anybody:
//
//   - appends: the journal takes the events. Yellow as soon as it refuses or is away,
//     red after half a minute of that; green with the next append that it takes.
//   - recoveries: aggregates are read. Yellow when the queue is half full, red when it
//     is full.
//   - aggregates: none is quarantined, which is yellow, and none has a stream that
//     cannot be read, which is red until it could be.
//   - sends: what aggregates send is delivered. Yellow when a command is set aside, see
//     [System.Parked], could not be delivered for half a minute, nearly as much waits as
//     may, or what is open cannot be looked for; red after ten minutes of that.
func (s *System) Health() []Health {
	return []Health{s.appendHealth(), s.recoveries.health(), s.troubles.health(), sendsHealth(s.deliverer)}
}

// Closing reports that the system takes no commands any more.
func (s *System) Closing() bool { return s.closing.Load() }

// failing is something that is tried again and again, and since when it has not worked.
type failing struct {
	since atomic.Int64 // unix nanoseconds; 0 is that it works
	mu    sync.Mutex   // protects err
	err   error
}

// succeeded notes that it works.
func (f *failing) succeeded() {
	if f.since.Load() != 0 {
		f.since.Store(0)
	}
}

// failed notes that it does not, and reports whether it did before.
func (f *failing) failed(err error) (begins bool) {
	begins = f.since.CompareAndSwap(0, time.Now().UnixNano())
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
	return begins
}

// lasting returns for how long it has not worked, and why; 0 is that it does.
func (f *failing) lasting() (time.Duration, error) {
	since := f.since.Load()
	if since == 0 {
		return 0, nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(time.Since(time.Unix(0, since)), 1), f.err
}

// notStored notes an append that failed, if that says something about the journal.
func (s *System) notStored(err error) {
	kind := persistence.ErrorKindOf(err)
	if kind == persistence.ErrUnavailable || kind == persistence.ErrUnknownOutcome || errors.Is(err, persistence.ErrLostTail) {
		s.appends.failed(err)
	}
}

func (s *System) appendHealth() Health {
	h := Health{Part: "appends"}
	lasting, err := s.appends.lasting()
	switch {
	case lasting == 0:
		return h
	case lasting >= appendsRed:
		h.Level = persistence.Red
	default:
		h.Level = persistence.Yellow
	}
	h.Reason = fmt.Sprintf("nothing was stored for %s: %v", lasting.Round(time.Second), err)
	return h
}

func (r *recoveries) health() Health {
	h := Health{Part: "recoveries"}
	r.mu.Lock()
	defer r.mu.Unlock()
	waiting := r.queue.Len() + r.urgent.Len()
	switch {
	case waiting >= maxRecoveryQueue:
		h.Level = persistence.Red
	case waiting >= maxRecoveryQueue/2:
		h.Level = persistence.Yellow
	default:
		return h
	}
	h.Reason = fmt.Sprintf("%d aggregates wait to be read, of %d that may", waiting, maxRecoveryQueue)
	return h
}

// troubles are the aggregates that answer no command, though the journal is there.
type troubles struct {
	any atomic.Int64 // how many

	mu          sync.Mutex // protects the rest
	quarantined map[key]time.Time
	corrupt     map[key]error
}

// maxTroubles bounds how many are known by name.
const maxTroubles = 10_000

// note takes an aggregate that is blocked for a time.
func (t *troubles) note(of key, p phase, until time.Time, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.quarantined == nil {
		t.quarantined, t.corrupt = map[key]time.Time{}, map[key]error{}
	}
	switch {
	case len(t.quarantined)+len(t.corrupt) >= maxTroubles:
	case p == quarantined:
		t.quarantined[of] = until
	case persistence.ErrorKindOf(err) == persistence.ErrCorrupt:
		t.corrupt[of] = err
	}
	t.count()
}

// clear takes an aggregate that is well.
func (t *troubles) clear(of key) {
	if t.any.Load() == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.quarantined, of)
	delete(t.corrupt, of)
	t.count()
}

func (t *troubles) count() { t.any.Store(int64(len(t.quarantined) + len(t.corrupt))) }

func (t *troubles) health() Health {
	h := Health{Part: "aggregates"}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	for of, until := range t.quarantined {
		if !until.After(now) {
			delete(t.quarantined, of)
		}
	}
	t.count()
	var reasons []string
	if n := len(t.quarantined); n > 0 {
		h.Level = persistence.Yellow
		reasons = append(reasons, fmt.Sprintf("quarantined, because their handlers panic: %s", some(t.quarantined)))
	}
	if n := len(t.corrupt); n > 0 {
		h.Level = persistence.Red
		reasons = append(reasons, fmt.Sprintf("cannot be read: %s", some(t.corrupt)))
	}
	h.Reason = strings.Join(reasons, "; ")
	return h
}

// shownTroubles bounds how many are named.
const shownTroubles = 5

// some names a few aggregates, the same ones each time.
func some[V any](of map[key]V) string {
	names := make([]string, 0, len(of))
	for k := range of {
		names = append(names, string(k.stream()))
	}
	slices.Sort(names)
	text := strings.Join(names[:min(len(names), shownTroubles)], ", ")
	if more := len(names) - shownTroubles; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// sendsHealth tells of sent commands that wait for long or were set aside.
func sendsHealth(d *deliverer) Health {
	h := Health{Part: "sends"}
	d.mu.Lock()
	defer d.mu.Unlock()
	var reasons []string
	judge := func(n int, oldest time.Time, what string) {
		if n == 0 {
			return
		}
		lasting := time.Since(oldest).Round(time.Second)
		h.Level = max(h.Level, persistence.Yellow)
		if lasting >= sendsRed {
			h.Level = persistence.Red
		}
		reasons = append(reasons, fmt.Sprintf("%d %s, the first for %s", n, what, lasting))
	}
	var parked, late int
	var parkedSince, lateSince time.Time
	for _, r := range d.backoffs {
		switch {
		case r.parked():
			if parked++; parked == 1 || r.since.Before(parkedSince) {
				parkedSince = r.since
			}
		case !r.since.IsZero() && time.Since(r.since) >= notDelivered:
			if late++; late == 1 || r.since.Before(lateSince) {
				lateSince = r.since
			}
		}
	}
	judge(parked, parkedSince, "set aside, see Parked")
	judge(late, lateSince, "could not be delivered so far")
	if lasting, err := d.system.sweeping.lasting(); lasting > 0 {
		h.Level = max(h.Level, persistence.Yellow)
		if lasting >= sendsRed {
			h.Level = persistence.Red
		}
		reasons = append(reasons, fmt.Sprintf("what is open could not be looked for since %s: %v", lasting.Round(time.Second), err))
	}
	if pending, most := d.system.pending(), d.system.config.MaxPending; pending >= most-most/10 {
		h.Level = max(h.Level, persistence.Yellow)
		reasons = append(reasons, fmt.Sprintf("%d are pending, of %d that may be", pending, most))
	}
	h.Reason = strings.Join(reasons, "; ")
	return h
}
