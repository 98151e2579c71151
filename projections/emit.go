package projections

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// TypeLink is the type of events that refer to another event, see [State.Link].
const TypeLink = "$stele.link"

// EmitStream returns the stream to which a projection emits. It is a stream of the
// system, so that projections read emitted events only when they name the stream.
func EmitStream(projection string) persistence.StreamID {
	return persistence.StreamID("$emit-" + projection)
}

// emission is an event to be appended somewhere.
type emission struct {
	stream persistence.StreamID
	event  persistence.Event
}

// Emit appends a message to the projection's own stream, [EmitStream], when the page is
// saved. Its id is derived from the event that is being handled, so that it is stored
// once, whatever happens in between.
func Emit[S, E any](s *State[S], message E) error {
	event, err := codec.Of[E]()
	if err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	if err := event.Prove(); err != nil { // once
		return fmt.Errorf("emit: %w", err)
	}
	if s.proving {
		event = event.Strict()
	}
	payload, err := event.Encode(message)
	if err != nil {
		return fmt.Errorf("emit: %w", err)
	}
	s.Emit(persistence.Event{Type: event.Name(), Payload: payload})
	return nil
}

// Emit is the function Emit for an event that is already encoded. It sets the event's ID.
func (s *State[S]) Emit(event persistence.Event) { s.add(EmitStream(s.name), event) }

// Link appends a reference to the event that is being handled to a stream, which
// need not exist and may have other writers. Readers follow it with [Resolve].
func (s *State[S]) Link(stream persistence.StreamID) {
	s.add(stream, persistence.Event{Type: TypeLink, Payload: link{
		Part: s.at.Position.Part, Offset: s.at.Position.Offset, ID: s.at.ID.String(), Sub: s.at.Sub,
	}.encode()})
}

// add gives the event the id that it has in every attempt and every version.
func (s *State[S]) add(stream persistence.StreamID, event persistence.Event) {
	s.count++
	event.ID = derive([]byte(s.name), fmt.Appendf(nil, "%s/%d/%d", s.at.Position, s.at.Sub, s.count))
	s.emissions = append(s.emissions, emission{stream, event})
}

// derive makes an id of what it stands for: a UUID of version 8.
func derive(parts ...[]byte) (id persistence.EventID) {
	hash := sha256.New()
	hash.Write([]byte("stele projection"))
	for _, part := range parts {
		fmt.Fprintf(hash, "/%d/", len(part))
		hash.Write(part)
	}
	copy(id[:], hash.Sum(nil))
	id[6], id[8] = id[6]&0x0f|0x80, id[8]&0x3f|0x80
	return id
}

// emit appends what a batch has emitted: for each stream together, whose ids the
// journal recognises when all are there already. When some are, because an attempt
// that was cut off or another owner has stored a page of another size, they are
// appended one by one.
func (w *worker) emit(ctx context.Context, emissions []emission) error {
	var streams []persistence.StreamID
	events := map[persistence.StreamID][]persistence.Event{}
	for _, e := range emissions {
		if events[e.stream] == nil {
			streams = append(streams, e.stream)
		}
		events[e.stream] = append(events[e.stream], e.event)
	}
	for _, stream := range streams {
		for part := range slices.Chunk(events[stream], emitTogether) {
			err := w.append(ctx, stream, part)
			if errors.Is(err, persistence.ErrEventIDReused) || errors.Is(err, persistence.ErrInvalid) {
				err = w.appendEach(ctx, stream, part)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// emitTogether is the number of events that are appended at once.
const emitTogether = 500

func (w *worker) append(ctx context.Context, stream persistence.StreamID, events []persistence.Event) error {
	outcomes, err := w.host.config.Journal.Append(ctx, persistence.Append{Stream: stream, Expected: persistence.Any, Events: events})
	if err != nil {
		return err
	}
	if outcomes[0].Err == nil && !outcomes[0].Duplicate {
		w.emitted.Add(int64(len(events)))
	}
	return outcomes[0].Err
}

// appendEach appends events one by one. Where one is stored with other content,
// which a changed program may cause, what is stored stays.
func (w *worker) appendEach(ctx context.Context, stream persistence.StreamID, events []persistence.Event) error {
	for i := range events {
		err := w.append(ctx, stream, events[i:i+1])
		if errors.Is(err, persistence.ErrEventIDReused) {
			w.diverged.Add(1)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// link is the payload of a [TypeLink].
type link struct {
	Part   uint16 `json:"part,omitempty"`
	Offset int64  `json:"offset"`
	ID     string `json:"id"`
	Sub    uint16 `json:"sub,omitempty"`
}

func (l link) encode() []byte {
	encoded, _ := json.Marshal(l) // numbers and a UUID
	return encoded
}

// Resolve returns the event to which a link refers, or the event itself when it is no
// link. An event that can no longer be read is [persistence.ErrNotFound].
func Resolve(ctx context.Context, reader persistence.Reader, recorded persistence.Recorded) (persistence.Recorded, error) {
	if recorded.Type != TypeLink {
		return recorded, nil
	}
	var l link
	if err := json.Unmarshal(recorded.Payload, &l); err != nil || l.Offset <= 0 {
		return recorded, &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "it is no link"}
	}
	found, err := eventAt(ctx, reader, persistence.Position{Part: l.Part, Offset: l.Offset})
	switch {
	case err != nil:
		return recorded, err
	case !strings.EqualFold(found.ID.String(), l.ID):
		return recorded, &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "it leads to another event"}
	}
	return found, nil
}

// eventAt reads the event at a position.
func eventAt(ctx context.Context, reader persistence.Reader, position persistence.Position) (persistence.Recorded, error) {
	before := position
	before.Offset--
	var at persistence.Positions
	options := persistence.ReadAllOptions{After: at.With(before), System: true, PageRows: 1}
	for page, err := range reader.ReadAll(ctx, options) {
		if err != nil {
			return persistence.Recorded{}, err
		}
		for i := range page.Events {
			if page.Events[i].Position == position {
				return page.Events[i], nil
			}
		}
		if page.Next.Covers(position) {
			break
		}
	}
	return persistence.Recorded{}, &persistence.Error{Kind: persistence.ErrNotFound, Op: "read the event at position " + position.String(), Reason: "gone"}
}
