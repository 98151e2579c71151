package memory

import (
	"maps"

	"github.com/stele-es/stele/persistence"
)

// state is the log and the index of the streams. That of a transaction lies over
// the journal's and holds what the transaction has written.
type state struct {
	log     log
	streams map[persistence.StreamID]*stream
	under   *state // nil for the journal's own
}

// find returns the stream to read, or nil.
func (st *state) find(id persistence.StreamID) *stream {
	if s := st.streams[id]; s != nil || st.under == nil {
		return s
	}
	return st.under.streams[id]
}

// own returns the stream to write to.
func (st *state) own(id persistence.StreamID) *stream {
	if s := st.streams[id]; s != nil {
		return s
	}
	if st.streams == nil {
		st.streams = map[persistence.StreamID]*stream{}
	}
	s := &stream{id: id, first: 1, begin: 1, positions: make([]int64, 0, 4)}
	if under := st.find(id); under != nil {
		*s = *under
		s.named, s.under = nil, under
	}
	st.streams[id] = s
	return s
}

// settle moves what a transaction has written to the state that it lies over. The
// positions that streams got in the meantime share their slices with those below,
// beyond what these show.
func (st *state) settle() {
	st.under.log = st.log
	for id, s := range st.streams {
		if s.under != nil {
			if s.under.named != nil {
				maps.Copy(s.under.named, s.named)
				s.named = s.under.named
			}
			s.under = nil
		}
		if st.under.streams == nil {
			st.under.streams = map[persistence.StreamID]*stream{}
		}
		st.under.streams[id] = s
	}
}

// stream is the state of one stream. A nil stream is one that nobody has written to. A
// stream is never forgotten, for its versions count on.
type stream struct {
	id persistence.StreamID
	// positions has the place of each version, named the versions of the events whose
	// ids their writers chose and that are not forgotten.
	positions []int64
	named     map[persistence.EventID]persistence.Version
	// first is the lowest version that can be read, one above the last if there is
	// none; begin the one behind the last tombstone.
	first    persistence.Version
	begin    persistence.Version
	created  bool
	metadata persistence.Metadata // replaced, never changed
	revision persistence.Revision
	// under is the state of a transaction's stream before it: its names hold too.
	under *stream
}

// version is the number of events, those that cannot be read any more included.
func (s *stream) version() persistence.Version {
	if s == nil {
		return 0
	}
	return persistence.Version(len(s.positions))
}

func (s *stream) exists() bool { return s.admits(persistence.StreamExists) }

func (s *stream) admits(expected persistence.Expected) bool {
	if s == nil {
		return expected.Admits(0, 1, false)
	}
	return expected.Admits(s.version(), s.first, s.created)
}

func (s *stream) conflict(id persistence.StreamID, expected persistence.Expected) *persistence.ConflictError {
	return &persistence.ConflictError{Stream: id, Expected: expected, Actual: s.version()}
}

func (s *stream) info() persistence.StreamInfo {
	return persistence.StreamInfo{
		Stream: s.id, Version: s.version(), First: s.first, Begin: s.begin, Metadata: maps.Clone(s.metadata), Revision: s.revision,
		Deleted: !s.exists(),
	}
}

// name remembers that the writer chose the id of the event at this version.
func (s *stream) name(id persistence.EventID, version persistence.Version) {
	if s.named == nil {
		s.named = map[persistence.EventID]persistence.Version{}
	}
	s.named[id] = version
}

// versionOf is the version of a named event, 0 when the id is not known.
func (s *stream) versionOf(id persistence.EventID) persistence.Version {
	if version := s.named[id]; version > 0 || s.under == nil {
		return version
	}
	return s.under.named[id]
}
