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

// rest is why nothing is delivered in a lane for a while: its first command has failed,
// and what was sent after it must not overtake it.
type rest struct {
	id         persistence.CommandID // of that command
	command    string
	due        int64     // of it, unix microseconds
	until      time.Time // zero is until somebody calls Retry: it is parked
	since      time.Time // of the first failure
	deliveries int       // that failed in a row
	handlings  int       // by Result
	cause      error
}

func (r *rest) parked() bool { return r.until.IsZero() }

// of reports that the lane rests because of a command.
func (r *rest) of(s *sending) bool { return r != nil && r.id == s.id }

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

// causeOf is what the same failures of many commands have in common.
func causeOf(err error) string {
	if failed, ok := errors.AsType[*persistence.Error](err); ok {
		return string(failed.Kind) + " " + failed.Reason
	}
	return fmt.Sprintf("%T", err)
}

// rest lets a lane rest after a failure of its first command. The lock is held.
func (d *deliverer) rest(l *lane, err error) {
	now, r := time.Now(), d.resting[l.laneKey]
	if r == nil || r.id != l.first.id {
		r = &rest{since: now, id: l.first.id, command: l.first.GetCommand(), due: l.first.GetDue()}
		d.unease(l.laneKey, r)
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

// unease notes why a lane rests; the lock is held.
func (d *deliverer) unease(to laneKey, r *rest) {
	if d.resting[to] == nil {
		d.uneasy[to.from]++
	}
	d.resting[to] = r
}

// ease forgets why a lane rests, if it does; the lock is held.
func (d *deliverer) ease(to laneKey) {
	if d.resting[to] == nil {
		return
	}
	delete(d.resting, to)
	if d.uneasy[to.from]--; d.uneasy[to.from] == 0 {
		delete(d.uneasy, to.from)
	}
}

// rests reports that a lane rests, and sees to it that its sender is woken when it has
// rested. The lock is held.
func (d *deliverer) rests(to laneKey, open []*sending, now time.Time) bool {
	r := d.resting[to]
	switch {
	case r == nil:
		return false
	case !isOpen(open, r.id): // it was cancelled, or ended elsewhere
		d.ease(to)
		return false
	case r.parked():
		return true
	case r.until.After(now):
		d.wakeAt(to.from, r.until)
		return true
	}
	return false
}

// forget drops the rests of commands that are not open any more, by when they were due:
// others may have brought them to an end.
func (d *deliverer) forget(before time.Time, done func(of key, due int64) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to, r := range d.resting {
		if r.since.Before(before) && done(to.from, r.due) {
			d.ease(to)
		}
	}
}

// retry ends the rests of a sender and reports that there were any.
func (d *deliverer) retry(of key) (rested bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for to := range d.resting {
		if to.from == of {
			d.ease(to)
			rested = true
		}
	}
	if rested {
		d.wakeAt(of, time.Now())
	}
	return rested
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
	// ToKind and ToID say to whom the command was sent, Command the stored name of its
	// type.
	ToKind, ToID, Command string
	// CommandID is what the command is known by.
	CommandID persistence.CommandID
	// Since is when the command was found unreadable, or handling the outcome failed
	// first.
	Since time.Time
	// Attempts is how often that has, 0 of a command that cannot be read.
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
	for to, r := range d.resting {
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
