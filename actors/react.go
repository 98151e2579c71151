package actors

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"reflect"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Event is a recorded event of another aggregate with its message, as [React] passes it.
// The payload is left out.
type Event[E any] struct {
	persistence.Recorded
	// Data is the message, in the form of today.
	Data E
}

// React lets aggregates of this kind react to an event, whatever aggregate raises it:
// key names the one that does, by its id, and the method decides as one of [Handle]
// does, about an event in place of a command. The empty key is nobody.
//
//	actors.React(func(e actors.Event[Paid]) string { return e.Data.Order }, (*Order).paid)
//
// Each event has its effect once, however often it is delivered: an aggregate knows
// how far it has come in the global sequence, and what it raises and sends is stored
// together with that. One that raises and sends nothing leaves no trace, and after a
// crash the event may come to it again. For one key events come in order; those for
// different keys come side by side, and wait for nobody else's. Reading a stream
// again never runs a reaction.
//
// The state that the method sees shows all that was stored of its aggregate before the
// event, whichever process has stored it: when the method raises and sends nothing, that
// is proven before the event counts as reacted to.
//
// The method returns an error when it cannot react now, and nil, raising nothing,
// when it need not. After an error or a panic it is called again some times within a
// second. Then the event is set aside, and with it all that follow for the same key,
// until an operator applies or discards them: see the Parked, Redrive and Discard of
// the projection that delivers them, [Reactions.Name].
//
// Reacting begins with the first event of the journal, so with all that has happened
// before the program could react: [ReactSince] leaves that out. An event type that is
// added to a kind which reacts already is reacted to from where the kind stands. The
// key must depend on nothing but the event.
func React[S, E any](key func(event Event[E]) string, then func(state *S, tx *Tx, event Event[E]) error) Part[S] {
	return func(a *Aggregate[S]) {
		event, err := codec.Of[E]()
		switch {
		case err != nil:
			a.d.problem("reaction to %s: %w", reflect.TypeFor[E](), err)
			return
		case key == nil || then == nil:
			a.d.problem("the reaction to %s lacks its key or its method", event.Name())
		case a.d.reactions[event.Name()] != nil:
			a.d.problem("there are two reactions to %s: remove one React", event.Name())
		}
		a.d.reactions[event.Name()] = &reaction{
			handler: handler{command: event, shape: codec.Shape(event.GoType()), reply: event, decide: func(state any, tx *Tx, message any) (any, error) {
				return nil, then(state.(*S), tx, Event[E]{*tx.reacts, message.(E)})
			}},
			key: func(recorded *persistence.Recorded, message any) string {
				return key(Event[E]{*recorded, message.(E)})
			},
		}
	}
}

// ReactSince leaves out events that were recorded before a time: that at which the
// kind began to react, so that what was over by then does not set off anything. It goes
// by the time that was stored with the event, so it leaves out a later event too when a
// clock set back has recorded that one. Once the reactions have come past the time the
// option is of no more use: leave it out then, and no clock can leave out anything.
func ReactSince[S any](t time.Time) Part[S] { return func(a *Aggregate[S]) { a.d.since = t } }

// reaction is a handler of events of others.
type reaction struct {
	handler
	key func(recorded *persistence.Recorded, message any) string
}

// Reactions are the events to which aggregates of one kind react. A program that delivers
// them calls Take; package stele does it by a projection.
type Reactions struct{ of *definition }

// ReactionsOf returns the reactions of all definitions that have any.
func ReactionsOf(definitions ...Definition) []*Reactions {
	var all []*Reactions
	for _, d := range definitions {
		if d != nil && d.definition() != nil && len(d.definition().reactions) > 0 {
			all = append(all, &Reactions{d.definition()})
		}
	}
	return all
}

// Name is the name of the projection that delivers the events: "reactions-" and the kind.
func (r *Reactions) Name() string { return "reactions-" + r.of.kind }

// Types are the stored names of the events.
func (r *Reactions) Types() []string { return slices.Sorted(maps.Keys(r.of.reactions)) }

// Take looks at an event in its form of today. It returns the id of the aggregate
// that reacts, and how to have it react; no id when none does. The events of one id
// must be delivered in the order of their positions. A late one was set aside while
// others passed it; then its aggregate looks in its stream whether it has reacted.
//
// The error of react says what to do: an error of kind [persistence.ErrUnavailable],
// [persistence.ErrOverloaded] or [persistence.ErrUnknownOutcome] is no failure of the
// event, which is to be delivered again. An error of Take itself is of kind
// [persistence.ErrCorrupt].
func (r *Reactions) Take(to Asker, event *persistence.Recorded) (id string, react func(ctx context.Context, late bool) error, err error) {
	on := r.of.reactions[event.Type]
	if on == nil || event.At.Before(r.of.since) {
		return "", nil, nil
	}
	message, err := on.command.Decode(event.Payload)
	if err != nil {
		return "", nil, corrupt(event, "the payload cannot be decoded", err)
	}
	about := *event
	about.Payload = nil
	if id = on.key(&about, message); id == "" {
		return "", nil, nil
	}
	request := Request{
		identity: identity{id: reactionID(r.of.kind, event)}, kind: r.of.kind, aggregate: id, message: message,
		command: on.command.GoType(), reply: on.reply.GoType(), ifVersion: persistence.Any, reacts: &about,
	}
	return id, func(ctx context.Context, late bool) error {
		asked := request
		if late {
			asked.class, asked.born = again, event.At
		}
		_, err := to.Ask(CausedBy(ctx, event), asked)
		return undone(err)
	}, nil
}

// undone sorts what went wrong with a reaction by whether waiting helps. Trouble of one
// aggregate must not hold up the others.
func undone(err error) error {
	failed, ok := err.(*persistence.Error) //nolint:errorlint // the outermost is the runtime's
	if !ok {
		return err
	}
	sorted := *failed
	switch {
	case failed.Reason == ReasonQuarantined, failed.Reason == ReasonTooFarBack:
		sorted.Kind = persistence.ErrRejected
	case failed.Kind == persistence.ErrConflict:
		sorted.Kind = persistence.ErrUnavailable
	}
	return &sorted
}

// reactionID is the id under which a kind reacts to an event.
func reactionID(kind string, event *persistence.Recorded) persistence.CommandID {
	seed := binary.BigEndian.AppendUint16([]byte("react\x00"+kind+"\x00"), event.Position.Part)
	seed = binary.BigEndian.AppendUint64(seed, uint64(event.Position.Offset)) //nolint:gosec // above 0
	return digestID(sha256.Sum256(binary.BigEndian.AppendUint16(seed, event.Sub)))
}

func placeOf(event *persistence.Recorded) stored.Place {
	return stored.Place{Position: event.Position, Sub: event.Sub}
}

func comparePlaces(p, q stored.Place) int {
	return cmp.Or(cmp.Compare(p.Offset, q.Offset), cmp.Compare(p.Sub, q.Sub))
}

// reacted is the last event of others that an aggregate has reacted to, one of each
// partition. Events come to an aggregate in order, so all before it are done too: it
// takes the place of remembering each, for ever and in a few bytes. A nil one is none.
// It is not changed, because snapshots hold it.
type reacted []stored.Place

func (r reacted) covers(p stored.Place) bool {
	return slices.ContainsFunc(r, func(q stored.Place) bool { return q.Part == p.Part && comparePlaces(q, p) >= 0 })
}

// with is r after a reaction. One that came late changes nothing.
func (r reacted) with(p stored.Place) reacted {
	if r.covers(p) {
		return r
	}
	next := slices.DeleteFunc(slices.Clone(r), func(q stored.Place) bool { return q.Part == p.Part })
	return append(next, p)
}

// after returns r after an event of the aggregate, whose headers say what the event was a
// reaction to.
func (r reacted) after(recorded *persistence.Recorded, about *stored.About) (reacted, error) {
	place, found, err := about.Reacted()
	switch {
	case err != nil:
		return r, corrupt(recorded, "the headers cannot be decoded", err)
	case found:
		return r.with(place), nil
	}
	return r, nil
}
