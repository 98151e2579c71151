package tail

import (
	"context"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

// Probe reports whether a journal still has the place where a checkpoint was
// taken. It returns a [*persistence.LostTailError] when
//
//   - it is another journal,
//   - it ends before the place,
//   - or it has another event there: it has lost its newest events, as after a
//     failover to a replica that was behind or a restored backup, and has given
//     their positions to others since.
//
// To go on from there would miss events, or has applied some that never happened;
// an operator has to decide. [Open] probes the checkpoint that it is given. When
// the server of a journal may be replaced under a follower, probe again after that has
// happened.
//
// An event that was scavenged cannot be compared; then only the rest is checked.
func Probe(ctx context.Context, reader persistence.Reader, checkpoint Checkpoint) error {
	at := checkpoint.Positions()
	if reader.Identity() != checkpoint.Journal {
		return &persistence.LostTailError{Position: first(at), Reason: "the checkpoint is one of another journal"}
	}
	if err := reaches(ctx, reader, at); err != nil {
		return err
	}
	for _, mark := range checkpoint.Marks {
		id, err := eventAt(ctx, reader, at, mark.Position)
		if err != nil {
			return err
		}
		if none := (persistence.EventID{}); id != mark.EventID && id != none && mark.EventID != none {
			return &persistence.LostTailError{Position: mark.Position, Reason: "the journal has another event there"}
		}
	}
	return nil
}

func first(at persistence.Positions) (position persistence.Position) {
	for part := range at {
		if position = at.Of(uint16(part)); position.Offset > 0 { //nolint:gosec // partitions are numbered by it
			break
		}
	}
	return position
}

// reaches reports the first partition in which the journal ends before a place.
func reaches(ctx context.Context, reader persistence.Reader, at persistence.Positions) error {
	if len(at) == 0 {
		return nil
	}
	head, err := reader.Head(ctx)
	if err != nil {
		return err
	}
	for part := range at {
		position := at.Of(uint16(part)) //nolint:gosec // partitions are numbered by it
		if end := head.Of(position.Part); end.Offset < position.Offset {
			return &persistence.LostTailError{Position: position, Reason: fmt.Sprintf("the journal ends at position %s", end)}
		}
	}
	return nil
}

// eventAt reads the id of the event at a position that at covers, zero when there
// is none to see.
func eventAt(ctx context.Context, reader persistence.Reader, at persistence.Positions, position persistence.Position) (persistence.EventID, error) {
	stored, _ := upcast.Split(reader) // an event that is dropped has an id too
	before := position
	before.Offset--
	options := persistence.ReadAllOptions{After: at.With(before), System: true, PageRows: 1}
	for page, err := range stored.ReadAll(ctx, options) {
		if err != nil {
			return persistence.EventID{}, err
		}
		for i := range page.Events {
			if page.Events[i].Position == position {
				return page.Events[i].ID, nil
			}
		}
		if page.Next.Covers(position) {
			break
		}
	}
	return persistence.EventID{}, nil
}
