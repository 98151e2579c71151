package actors

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// A command that was sent is stored in the form of its day and read once, by whoever
// delivers it. So it is taken only when this program reads all of it; otherwise it is
// set aside: it stays open in the journal, and a program that can read it takes it.

// errNotHosted says that a command is for a kind of other programs.
var errNotHosted = errors.New("the kind is not hosted here")

// errDropped is why nothing comes of a command that upcasters drop.
var errDropped = errors.New("an upcaster drops the command")

// readSent is readCommand for a command that was sent.
func (s *System) readSent(sent *sending, from persistence.StreamID) (h *handler, message any, err error) {
	return s.readCommand(sent.GetKind(), sent.GetCommand(), sent.GetPayload(), &persistence.Recorded{Stream: from}, (*definition).byName)
}

// readCommand turns a command that is stored at a place into what its handler takes
// today: through the upcasters, as events are read. Its error is errNotHosted, errDropped,
// or says why this program cannot read the command, however often it tries.
func (s *System) readCommand(
	kind, command string, payload []byte, at *persistence.Recorded, find func(of *definition, today string) *handler,
) (h *handler, message any, err error) {
	of := s.definitions[kind]
	if of == nil {
		return nil, nil, errNotHosted
	}
	today := persistence.Event{Type: command, Payload: payload}
	if s.config.Upcasters.Touches(command) {
		forms, err := s.config.Upcasters.Upcast(nil, &persistence.Recorded{Event: today, Stream: at.Stream, Version: at.Version})
		switch {
		case err != nil:
			return nil, nil, err
		case len(forms) == 0:
			return nil, nil, errDropped
		case len(forms) > 1:
			return nil, nil, fmt.Errorf("upcasters make %d commands of %s: they must make one, or none", len(forms), command)
		}
		today = forms[0].Event
	}
	if h = find(of, today.Type); h == nil {
		return nil, nil, fmt.Errorf("kind %s has no Handle for %s: add one, or an upcaster from it (upcast.Rename, upcast.Map, upcast.Drop)", of.kind, today.Type)
	}
	message, err = h.command.DecodeWhole(today.Payload)
	return h, message, err
}

// readSentApart is readSent, with the digest of what was read, on a goroutine of its own
// when code of the user's takes part.
func (s *System) readSentApart(sent *sending, from persistence.StreamID) (h *handler, message any, content digest, err error) {
	read := func() (err error) {
		if h, message, err = s.readSent(sent, from); err == nil {
			content, err = digestOf(h, message)
		}
		return err
	}
	if known := s.definitions[sent.GetKind()].byName(sent.GetCommand()); known != nil && known.protobuf && !s.config.Upcasters.Touches(sent.GetCommand()) {
		err = read()
	} else {
		err = usercode.Call(read)
	}
	return h, message, content, err
}

// resultOf is the Result of a kind for a command, by the name under which it was sent.
func (s *System) resultOf(of *definition, command string) *handler {
	for _, today := range s.config.Upcasters.Ends(command) {
		if result := of.results[today]; result != nil {
			return result
		}
	}
	return nil
}

// apart is the lane of one command that an aggregate has sent to itself and that is set
// aside. Such commands are timers and steps of the aggregate's own: the others need not
// wait for it. Commands to another aggregate keep their order.
func (to laneKey) apart(s *sending) laneKey {
	if to.from.id == to.to && to.from.kind.kind == to.kind {
		to.alone = s.id
	}
	return to
}

// setAside parks the first command of a lane, which this program cannot read.
func (d *deliverer) setAside(l *lane, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s, to := l.first, l.apart(l.first)
	r := d.backoffs[to]
	if !r.of(s) {
		r = &backoff{since: time.Now(), id: s.id, command: s.GetCommand(), due: s.GetDue()}
		d.setBackoff(to, r)
	}
	r.until, r.cause = time.Time{}, err
	d.tell("sent command set aside", l, err.Error(), err)
	if d.drop(l); to.alone == (persistence.CommandID{}) {
		for l.first != nil {
			d.drop(l)
		}
	}
	d.leave(l)
}

// notDelivered is after how long an operator hears of a command that nobody takes.
const notDelivered = 30 * time.Second

// tell warns of a lane's first command, once for however many of the same sort. The lock
// is held.
func (d *deliverer) tell(message string, l *lane, cause string, err error) {
	about := aside{message, l.from.kind.kind, l.kind, l.first.GetCommand(), cause}
	if d.reported[about] || len(d.reported) >= maxTold {
		return
	}
	d.reported[about] = true
	d.system.config.Logger.Warn(message, slog.String("stream", string(l.from.stream())), //nolint:sloglint // a constant of the callers
		slog.String("command", l.first.GetCommand()), slog.Any("err", err))
}

// aside names one sort of unreadable command, for which one warning is logged.
type aside struct{ message, from, kind, command, cause string }

// maxTold bounds how many sorts are warned of.
const maxTold = 1000
