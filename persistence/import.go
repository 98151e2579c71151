package persistence

import "context"

// Importer is the ability of a journal to store the content of another journal unchanged,
// so that the copy equals the original. It is for administrators, not for programs. It
// goes around the fronts of a journal: hooks see nothing of it.
//
// Snapshots are not copied: they are a cache. Schemas have other ids in another journal,
// so a copying program registers them and changes [Event.Schema]. Before it imports, it
// notes the types of the events, so that a program's start knows them: see NoteEvents of
// package schema. Package transfer does both.
type Importer interface {
	// Import stores events with their streams, versions, ids, times and content. It also
	// takes the journal's own events: tombstones of type [TypeDeleted], which end a
	// stream as [Streams.Delete] does, and scavenged events of type [TypeGone]. It gives
	// new positions, in the order of the arguments and without gap. So events that are
	// read from a journal with [ReadAllOptions.Whole] and imported into an empty one keep
	// their positions. The journal recognises repetitions of ids with [Recorded.Named],
	// and of no others.
	//
	// Each event must follow the last one of its stream. An event that is there already,
	// at its version with its id and its content, or scavenged in either journal, is
	// skipped, so that a call whose outcome is unknown can be repeated. An event that
	// does not follow, or finds another event at its version, is a [*ConflictError]. A
	// named id that the stream holds elsewhere is an [*EventIDReusedError]. An import is
	// all or nothing, within the limits of one append; see CheckImport of package
	// journalkit. It returns the position of the last event.
	Import(ctx context.Context, events []Recorded) (Position, error)
	// ImportStreams imports the state of streams whose events have been imported: what is
	// truncated, their metadata and its revision, and streams that are empty. It never
	// takes back a later state: events, another life, a higher truncation or revision. A
	// stream that has fewer events than the state says is a [*ConflictError]; other
	// metadata at the same revision is a [*RevisionError]. The call is all or nothing,
	// for at most [MaxAppendEvents] streams; see [StreamInfo.Check].
	ImportStreams(ctx context.Context, streams []StreamInfo) error
}

// Check returns an [*InvalidError] when no journal can have stored this event. Journals
// call it before they import an event.
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

// SameStored reports whether an event to import equals the one that is stored at its
// version: in its id, and in its content unless either of them was scavenged.
func (r *Recorded) SameStored(stored *Recorded) bool {
	return r.ID == stored.ID && (r.Type == TypeGone || stored.Type == TypeGone || r.SameContent(&stored.Event))
}

// Check returns an [*InvalidError] when no stream can have this state. Journals call it
// before they import a stream.
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

// Empty reports whether the stream exists and has no readable event.
func (i *StreamInfo) Empty() bool { return !i.Deleted && i.First > i.Version }

// Merge returns the state of a stream after an import of told, see
// [Importer.ImportStreams]. The receiver is the state of the stream in the journal; the
// stream need not exist. Journals that decide this in Go call it.
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
