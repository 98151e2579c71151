package journalkit

import (
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// CheckImport returns an [*persistence.InvalidError] when events break a limit or a rule that
// events have which were stored, and a [*persistence.ConflictError] or an
// [*persistence.EventIDReusedError] when they contradict each other. Journals call it before
// they store any.
func CheckImport(events []persistence.Recorded) error {
	if len(events) > persistence.MaxAppendEvents {
		return &persistence.InvalidError{Field: "events", Reason: "are too many for one call", Size: len(events), Limit: persistence.MaxAppendEvents}
	}
	size := 0
	last := map[persistence.StreamID]persistence.Version{}
	type name struct {
		stream persistence.StreamID
		id     persistence.EventID
	}
	named := map[name]persistence.Version{}
	ended := map[persistence.StreamID]persistence.Version{}
	for i := range events {
		r := &events[i]
		if err := r.Check(); err != nil {
			return fmt.Errorf("event %d: %w", i, err)
		}
		if before, known := last[r.Stream]; known && r.Version != before+1 {
			return &persistence.ConflictError{Stream: r.Stream, Expected: persistence.Exact(r.Version - 1), Actual: before}
		}
		last[r.Stream] = r.Version
		if r.Type == persistence.TypeDeleted {
			ended[r.Stream] = r.Version
		}
		if r.Named {
			if before := named[name{r.Stream, r.ID}]; before > ended[r.Stream] {
				return &persistence.EventIDReusedError{Stream: r.Stream, ID: r.ID}
			}
			named[name{r.Stream, r.ID}] = r.Version
		}
		size += (&persistence.Append{Stream: r.Stream, Events: []persistence.Event{r.Event}}).Size()
	}
	if size > persistence.MaxAppendBytes {
		return &persistence.InvalidError{Field: "events", Reason: "are too large for one call", Size: size, Limit: persistence.MaxAppendBytes}
	}
	return nil
}

// CheckImportStreams is [persistence.StreamInfo.Check] for all, and for the limits of a call.
func CheckImportStreams(streams []persistence.StreamInfo) error {
	if len(streams) > persistence.MaxAppendEvents {
		return &persistence.InvalidError{Field: "streams", Reason: "are too many for one call", Size: len(streams), Limit: persistence.MaxAppendEvents}
	}
	size := 0
	seen := make(map[persistence.StreamID]bool, len(streams))
	for i := range streams {
		if err := streams[i].Check(); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		if seen[streams[i].Stream] {
			return &persistence.InvalidError{Field: "stream", Reason: "stands twice in one call"}
		}
		seen[streams[i].Stream] = true
		size += len(streams[i].Stream) + streams[i].Metadata.Size()
	}
	if size > persistence.MaxAppendBytes {
		return &persistence.InvalidError{Field: "streams", Reason: "are too large for one call", Size: size, Limit: persistence.MaxAppendBytes}
	}
	return nil
}
