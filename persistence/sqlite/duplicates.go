package sqlite

import (
	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
)

// stored looks for the ids of a named append. It reports false when the stream
// has none of them.
func (s *eventWriter) stored(item *appender.Item, at stream) (persistence.Outcome, bool, error) {
	versions := make([]persistence.Version, len(item.Events))
	found, overlap := 0, persistence.EventID{}
	for i := range item.Events {
		row, err := s.findKey.first(at.id, item.Events[i].ID[:])
		if err != nil {
			return persistence.Outcome{}, false, err
		}
		if row == nil {
			continue
		}
		version, ok := row[0].(int64)
		if !ok {
			return persistence.Outcome{}, false, &persistence.CorruptError{Stream: item.Stream, Reason: "an event id has no version"}
		}
		versions[i] = persistence.Version(version)
		found, overlap = found+1, item.Events[i].ID
	}
	if found == 0 {
		return persistence.Outcome{}, false, nil
	}
	reused := persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: item.Stream, ID: overlap}}
	if found < len(item.Events) {
		return reused, true, nil
	}
	outcome := persistence.Outcome{First: versions[0], Last: versions[len(versions)-1], Duplicate: true}
	for i := range item.Events {
		recorded, err := s.eventOf(item.Stream, at, versions[i])
		if err != nil {
			return persistence.Outcome{}, false, err
		}
		if versions[i] != outcome.First+persistence.Version(i) || !recorded.SameContent(&item.Events[i]) {
			return reused, true, nil
		}
		if i == 0 {
			outcome.Position = recorded.Position
		}
	}
	return outcome, true, nil
}

// eventOf reads an event that must be there.
func (s *eventWriter) eventOf(name persistence.StreamID, at stream, version persistence.Version) (persistence.Recorded, error) {
	row, err := s.eventAt.first(at.id, int64(version))
	if err != nil {
		return persistence.Recorded{}, err
	}
	if row == nil {
		return persistence.Recorded{}, &persistence.CorruptError{Stream: name, Version: version, Reason: "an event id points to it, and it is missing"}
	}
	recorded, _, err := decode(row, name)
	return recorded, err
}
