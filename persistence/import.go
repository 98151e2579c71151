package persistence

import "context"

// Importer is the ability of a journal to take in what another one has stored, as
// it is, so that a copy cannot be told from what was copied. It is an
// administrator's, not a program's, and what stands in front of a journal is
// passed by: hooks see nothing of it.
//
// Snapshots are not copied: they are a cache. Schemas have other ids in another
// journal, so who copies registers them and changes [Event.Schema], and notes
// before of which types the events are, so that a program's start knows: see NoteEvents of
// package schema. Package transfer does both.
type Importer interface {
	// Import stores events with their streams, versions, ids, times and content, the
	// journal's own included: tombstones of type [TypeDeleted], which end a stream as
	// [Streams.Delete] does, and what was scavenged, of type [TypeGone]. Positions are
	// given anew, in the order of the arguments and without gap, so what is read from
	// a journal with [ReadAllOptions.Whole] and imported into an empty one has the same
	// ones. Ids are recognised when they are repeated exactly if [Recorded.Named].
	//
	// Each event must follow the last one of its stream. One that is there already,
	// at its version with its id and its content, or scavenged in either journal, is
	// passed over, so a call whose outcome is unknown can be repeated. What does not
	// follow, or finds another event at its version, is [*ConflictError]; a named id
	// that the stream holds elsewhere is [*EventIDReusedError]. All or nothing, within
	// the limits of one append; see CheckImport of package journalkit. It returns the position of the last
	// event.
	Import(ctx context.Context, events []Recorded) (Position, error)
	// ImportStreams makes of streams, whose events have been imported, what another
	// journal knows of them: what is truncated, which metadata they have at which
	// revision, and that they exist although they are empty. It never takes back what
	// is later than that: events, another life, a higher truncation or revision. A
	// stream that has not come as far is [*ConflictError]; other metadata at the same
	// revision is [*RevisionError]. All or nothing, at most [MaxAppendEvents]; see
	// [StreamInfo.Check].
	ImportStreams(ctx context.Context, streams []StreamInfo) error
}

// Check returns an [*InvalidError] when no journal can have stored the event so.
// Journals call it before they import one.
func (r *Recorded) Check() error {
	if err := r.Stream.CheckName(); err != nil {
		return err
	}
	if r.Version == 0 || r.Version > MaxVersion {
		return &InvalidError{Field: "version", Reason: "is out of range"}
	}
	if r.ID == (EventID{}) {
		return &InvalidError{Field: "event id", Reason: "is not set"}
	}
	if year := r.At.UTC().Year(); r.At.IsZero() || year < 1 || year > 9999 {
		return &InvalidError{Field: "time", Reason: "is not set or out of range"}
	}
	if r.Sub != 0 || r.SubCount != 0 {
		return &InvalidError{Field: "sub", Reason: "is not 0: an event is imported as it is stored, not as it is read today"}
	}
	if (r.Type == TypeDeleted || r.Type == TypeGone) && !r.isEmpty() {
		return &InvalidError{Field: "type", Reason: "is one of the journal's own, whose events are empty"}
	}
	return r.checkStored()
}

// isEmpty reports that a recorded event has nothing but an id and a type.
func (r *Recorded) isEmpty() bool {
	return len(r.Payload) == 0 && len(r.Headers) == 0 && len(r.Metadata) == 0 && len(r.Tags) == 0 && r.Schema == 0 && !r.Named
}

// SameStored reports whether an event to import is the one that is stored at its
// version: by its id, and by its content unless that was scavenged on either side.
func (r *Recorded) SameStored(stored *Recorded) bool {
	return r.ID == stored.ID && (r.Type == TypeGone || stored.Type == TypeGone || r.SameContent(&stored.Event))
}

// Check returns an [*InvalidError] when no stream can be so. Journals call it
// before they import one.
func (i *StreamInfo) Check() error {
	if err := i.Stream.CheckName(); err != nil {
		return err
	}
	if i.Revision < 0 {
		return &InvalidError{Field: "revision", Reason: "is negative"}
	}
	if i.Version >= MaxVersion || i.Begin == 0 || i.First < i.Begin || i.First > i.Version && i.First != i.Begin || i.Begin > i.Version+1 {
		return &InvalidError{Field: "first", Reason: "does not fit the version"}
	}
	if i.Deleted && (i.Version == 0 || i.Begin != i.Version+1 || len(i.Metadata) > 0) {
		return &InvalidError{Field: "deleted", Reason: "does not fit the version or the metadata"}
	}
	return i.Metadata.Check()
}

// Empty reports that the stream exists although it has no event that can be read.
func (i *StreamInfo) Empty() bool { return !i.Deleted && i.First > i.Version }

// Merge decides what becomes of a stream, of which here is what the journal knows
// although it may not exist, when told is imported; see [Importer.ImportStreams].
// Journals that decide in Go call it.
func (i *StreamInfo) Merge(told *StreamInfo) (StreamInfo, error) {
	merged := *i
	switch {
	case i.Version < told.Version || i.Begin < told.Begin:
		return merged, &ConflictError{Stream: told.Stream, Expected: Exact(told.Version), Actual: i.Version}
	case i.Begin > told.Begin:
		return merged, nil // that life is over
	case i.Revision == told.Revision && !i.Metadata.Equal(told.Metadata):
		return merged, &RevisionError{Stream: told.Stream, Expected: told.Revision, Actual: i.Revision}
	case i.Revision < told.Revision:
		merged.Metadata, merged.Revision = told.Metadata, told.Revision
	}
	merged.First = max(i.First, told.First)
	return merged, nil
}
