package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Bounds of handling an outcome again whose Result failed.
const (
	maxHandlings        = 10
	shortestHandleAgain = time.Second
	longestHandleAgain  = 5 * time.Minute
)

// backoff is why nothing is delivered in a lane for a while: its first command has failed,
// and what was sent after it must not overtake it.
type backoff struct {
	id         persistence.CommandID // of that command
	command    string
	due        int64     // of it, unix microseconds
	until      time.Time // zero is until somebody calls Retry: it is parked
	since      time.Time // of the first failure
	deliveries int       // that failed in a row
	handlings  int       // by Result
	cause      error
}

func (b *backoff) parked() bool { return b.until.IsZero() }

// of reports that a command is the one that has failed.
func (b *backoff) of(s *sending) bool { return b != nil && b.id == s.id }

// unhandledError is an outcome that the sender's Result could not handle.
type unhandledError struct{ err error }

func (e *unhandledError) Error() string { return "handle the outcome: " + e.err.Error() }

// unhandled tells a Result that failed from a runtime that could not call it.
func unhandled(err error) error {
	failed, ok := err.(*persistence.Error) //nolint:errorlint // the outermost is the runtime's
	if ok && failed.Kind != persistence.ErrRejected && failed.Kind != persistence.ErrInvalid {
		return err
	}
	return &unhandledError{err}
}

// causeOf returns the cause that equal failures of many commands have in common.
func causeOf(err error) string {
	if failed, ok := errors.AsType[*persistence.Error](err); ok {
		return string(failed.Kind) + " " + failed.Reason
	}
	return fmt.Sprintf("%T", err)
}

// backOff delivers nothing in a lane for a while, since its first command has failed. The
// lock is held.
func (d *deliverer) backOff(l *lane, err error) {
	now, r := time.Now(), d.backoffs[l.laneKey]
	if r == nil || r.id != l.first.id {
		r = &backoff{since: now, id: l.first.id, command: l.first.GetCommand(), due: l.first.GetDue()}
		d.setBackoff(l.laneKey, r)
	}
	var pause time.Duration
	if failed, ok := err.(*unhandledError); ok { //nolint:errorlint // ours, never wrapped
		r.handlings++
		r.deliveries, r.cause = 0, failed.err
		if r.handlings >= maxHandlings {
			r.until = time.Time{}
			d.system.config.Logger.Error("outcome parked", slog.String("stream", string(l.from.stream())),
				slog.String("command", r.command), slog.Any("err", r.cause))
			return
		}
		pause = min(shortestHandleAgain<<(r.handlings-1), longestHandleAgain)
	} else {
		r.deliveries++
		r.cause = err
		if now.Sub(r.since) >= notDelivered {
			d.tell("sent command not delivered yet", l, causeOf(err), err)
		}
		pause = min(shortestRedelivery<<min(r.deliveries-1, 10), longestRedelivery)
	}
	r.until = now.Add(spread(pause, l.from))
	d.wakeAt(l.from, r.until)
}

// setBackoff notes why nothing is delivered in a lane; the lock is held.
func (d *deliverer) setBackoff(to laneKey, b *backoff) {
	if d.backoffs[to] == nil {
		d.backoffsOf[to.from]++
	}
	d.backoffs[to] = b
}

// clearBackoff has a lane deliver again; the lock is held.
func (d *deliverer) clearBackoff(to laneKey) {
	if d.backoffs[to] == nil {
		return
	}
	delete(d.backoffs, to)
	if d.backoffsOf[to.from]--; d.backoffsOf[to.from] == 0 {
		delete(d.backoffsOf, to.from)
	}
}

// backsOff reports that nothing is delivered in a lane, and sees to it that its sender is
// woken afterwards. The lock is held.
func (d *deliverer) backsOff(to laneKey, open []*sending, now time.Time) bool {
	r := d.backoffs[to]
	switch {
	case r == nil:
		return false
	case !isOpen(open, r.id): // it was cancelled, or ended elsewhere
		d.clearBackoff(to)
		return false
	case r.parked():
		return true
	case r.until.After(now):
		d.wakeAt(to.from, r.until)
		return true
	}
	return false
}

// forgetBackoffs drops those of commands that are not open any more, by when they were
// due: others may have brought them to an end.
func (d *deliverer) forgetBackoffs(before time.Time, done func(of key, due int64) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to, r := range d.backoffs {
		if r.since.Before(before) && done(to.from, r.due) {
			d.clearBackoff(to)
		}
	}
}

// clearBackoffs has the lanes of a sender deliver again, and reports that there were any.
func (d *deliverer) clearBackoffs(of key) (found bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to := range d.backoffs {
		if to.from == of {
			d.clearBackoff(to)
			found = true
		}
	}
	if found {
		d.wakeAt(of, time.Now())
	}
	return found
}

// Parked is a sent command that was set aside: this program cannot read it or has no
// handler for it, or the aggregate that sent it has failed to handle its outcome ten
// times. It stays open in the journal, and is not given up. It is not tried again before [System.Retry] is
// called for its sender, or a system starts; what the sender has sent to the same
// aggregate afterwards waits behind it, unless that is the sender itself and the
// command could not be read. Everything else of the sender goes on.
type Parked struct {
	// Kind and ID are the sender's.
	Kind, ID string
	// ToKind and ToID name the aggregate that the command was sent to; Command is the
	// stored name of its type.
	ToKind, ToID, Command string
	// CommandID is the id of the command.
	CommandID persistence.CommandID
	// Since is when the command was found unreadable, or handling the outcome failed
	// first.
	Since time.Time
	// Attempts counts these failures; it is 0 for a command that cannot be read.
	Attempts int
	// Cause is why the command cannot be read, or the last error of the Result method.
	Cause error
}

// Parked returns what is parked in this system, the oldest first.
func (s *System) Parked() []Parked {
	d := s.deliverer
	d.mu.Lock()
	defer d.mu.Unlock()
	var parked []Parked
	for to, r := range d.backoffs {
		if r.parked() {
			parked = append(parked, Parked{
				Kind: to.from.kind.kind, ID: to.from.id, ToKind: to.kind, ToID: to.to, Command: r.command, CommandID: r.id,
				Since: r.since, Attempts: r.handlings, Cause: r.cause,
			})
		}
	}
	slices.SortFunc(parked, func(a, b Parked) int { return a.Since.Compare(b.Since) })
	return parked
}
