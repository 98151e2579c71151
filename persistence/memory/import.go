package memory

import (
	"context"
	"maps"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Import fulfils [persistence.Importer].
func (j *Journal) Import(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
	if err := journalkit.CheckImport(events); err != nil {
		return persistence.Position{}, err
	}
	own := make([]persistence.Recorded, len(events))
	for i := range events {
		own[i] = events[i]
		own[i].Event, _ = copyEvent(&events[i].Event, make([]byte, 0, len(events[i].Payload)+len(events[i].Headers)))
	}

	if err := j.lockToWrite(ctx); err != nil {
		return persistence.Position{}, err
	}
	defer j.mu.Unlock()
	// Nothing is written before all has been decided.
	if err := j.state.follow(own); err != nil {
		return persistence.Position{}, err
	}
	var last persistence.Position
	for i := range own {
		last.Offset = j.keep(&own[i])
	}
	j.publish()
	return last, nil
}

// follow decides whether each event is there already or follows its stream. The
// versions of a call follow each other.
func (st *state) follow(events []persistence.Recorded) error {
	began, ended := map[persistence.StreamID]bool{}, map[persistence.StreamID]bool{}
	for i := range events {
		r := &events[i]
		s := st.find(r.Stream)
		there := r.Version <= s.version()
		fits := began[r.Stream] || r.Version == s.version()+1
		if there {
			stored := st.log.stored(s.positions[r.Version-1])
			fits = r.SameStored(&stored)
		}
		if !fits {
			return s.conflict(r.Stream, persistence.Exact(r.Version-1))
		}
		began[r.Stream] = true
		if there {
			continue
		}
		if r.Named && s != nil && !ended[r.Stream] && s.versionOf(r.ID) > 0 {
			return &persistence.EventIDReusedError{Stream: r.Stream, ID: r.ID}
		}
		ended[r.Stream] = ended[r.Stream] || r.Type == persistence.TypeDeleted
	}
	return nil
}

// keep stores an event unless it is there, and returns its position.
func (j *Journal) keep(r *persistence.Recorded) int64 {
	st := &j.state
	s := st.own(r.Stream)
	if r.Version <= s.version() {
		return s.positions[r.Version-1]
	}
	to := st.log.next()
	s.positions = append(s.positions, st.log.size)
	to.event, to.stream, to.version, to.micros = r.Event, s.id, r.Version, r.At.UnixMicro()
	if r.Named {
		s.name(r.ID, r.Version)
	}
	if r.Type == persistence.TypeDeleted {
		j.end(s)
	}
	return st.log.size
}

// end is what a tombstone, which is the stream's last event, does to it.
func (j *Journal) end(s *stream) {
	s.begin, s.first = s.version()+1, s.version()+1
	s.created, s.metadata, s.named = false, nil, nil
	s.revision++
	delete(j.snapshots, s.id)
}

// ImportStreams fulfils [persistence.Importer].
func (j *Journal) ImportStreams(ctx context.Context, streams []persistence.StreamInfo) error {
	if err := journalkit.CheckImportStreams(streams); err != nil {
		return err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return err
	}
	defer j.mu.Unlock()
	merged := make([]persistence.StreamInfo, len(streams))
	for i := range streams {
		have := persistence.StreamInfo{Stream: streams[i].Stream, First: 1, Begin: 1}
		if s := j.state.find(have.Stream); s != nil {
			have = s.info()
		}
		var err error
		if merged[i], err = have.Merge(&streams[i]); err != nil {
			return err
		}
	}
	for i := range merged {
		s := j.state.own(merged[i].Stream)
		s.first, s.revision, s.metadata = merged[i].First, merged[i].Revision, maps.Clone(merged[i].Metadata)
		s.created = s.created || s.begin == streams[i].Begin && streams[i].Empty()
	}
	return nil
}
