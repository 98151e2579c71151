package memory

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/stele-es/stele/persistence"
)

// Stream fulfils [persistence.Reader].
func (j *Journal) Stream(ctx context.Context, id persistence.StreamID) (persistence.StreamInfo, error) {
	if err := id.CheckName(); err != nil {
		return persistence.StreamInfo{}, err
	}
	if err := j.lockToRead(ctx); err != nil {
		return persistence.StreamInfo{}, err
	}
	defer j.mu.RUnlock()
	s := j.state.find(id)
	if !s.exists() {
		return persistence.StreamInfo{}, &persistence.StreamNotFoundError{Stream: id}
	}
	return s.info(), nil
}

// Create fulfils [persistence.Streams].
func (j *Journal) Create(ctx context.Context, id persistence.StreamID, metadata persistence.Metadata) error {
	if err := id.CheckName(); err != nil {
		return err
	}
	if err := metadata.Check(); err != nil {
		return err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return err
	}
	defer j.mu.Unlock()
	if j.state.find(id).exists() {
		return &persistence.StreamExistsError{Stream: id}
	}
	s := j.state.own(id)
	s.created = true
	if len(metadata) > 0 {
		s.metadata = maps.Clone(metadata)
		s.revision++
	}
	return nil
}

// change takes mu for a writer and returns a stream that exists. The caller
// unlocks mu when there is no error.
func (j *Journal) change(ctx context.Context, id persistence.StreamID) (*stream, error) {
	if err := id.CheckName(); err != nil {
		return nil, err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return nil, err
	}
	s := j.state.find(id)
	if !s.exists() {
		j.mu.Unlock()
		return nil, &persistence.StreamNotFoundError{Stream: id}
	}
	return s, nil
}

// SetMetadata fulfils [persistence.Streams].
func (j *Journal) SetMetadata(ctx context.Context, id persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
	if err := metadata.Check(); err != nil {
		return 0, err
	}
	if err := expected.Check(); err != nil {
		return 0, err
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	switch {
	case s.metadata.Equal(metadata):
		return s.revision, nil
	case expected != persistence.AnyRevision && expected != s.revision:
		return 0, &persistence.RevisionError{Stream: id, Expected: expected, Actual: s.revision}
	}
	s.metadata = maps.Clone(metadata)
	s.revision++
	return s.revision, nil
}

// Delete fulfils [persistence.Streams].
func (j *Journal) Delete(ctx context.Context, id persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
	if err := (&persistence.Append{Stream: id, Expected: expected}).Check(); err != nil {
		return 0, err
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	if !s.admits(expected) {
		return 0, s.conflict(id, expected)
	}
	tombstone := persistence.Append{Stream: id, Events: []persistence.Event{{Type: persistence.TypeDeleted}}}
	outcome := j.state.write(s, &tombstone, j.time())
	j.end(s)
	j.publish()
	return outcome.Last, nil
}

// Truncate fulfils [persistence.Streams].
func (j *Journal) Truncate(ctx context.Context, id persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if before > persistence.MaxVersion {
		return 0, &persistence.InvalidError{Field: "before", Reason: "is out of range"}
	}
	s, err := j.change(ctx, id)
	if err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	s.first = max(s.first, min(before, s.version()))
	return s.first, nil
}

// Scavenge fulfils [persistence.Scavenger].
func (j *Journal) Scavenge(ctx context.Context, id persistence.StreamID) (int, error) {
	if err := id.CheckName(); err != nil {
		return 0, err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	s := j.state.find(id)
	if s == nil {
		return 0, nil
	}
	var doomed []int64
	for _, position := range s.positions[:s.first-1] {
		switch j.state.log.at(position).event.Type {
		case persistence.TypeGone, persistence.TypeDeleted:
		default:
			doomed = append(doomed, position)
		}
	}
	if len(doomed) > 0 {
		j.state.log.empty(doomed)
	}
	maps.DeleteFunc(s.named, func(_ persistence.EventID, version persistence.Version) bool { return version < s.first })
	return len(doomed), nil
}

// List fulfils [persistence.Streams]. What it yields was true at one moment.
func (j *Journal) List(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	return func(yield func(persistence.StreamInfo, error) bool) {
		match, err := options.Matcher()
		if err != nil {
			yield(persistence.StreamInfo{}, err)
			return
		}
		var found []persistence.StreamInfo
		err = j.each(ctx, persistence.StreamID(options.After), func(s *stream) bool {
			if !s.exists() && (!options.Deleted || s.begin == 1) {
				return true
			}
			if match(string(s.id)) && (options.Category == "" || s.id.Category() == options.Category) && options.MatchesMetadata(s.metadata) {
				found = append(found, s.info())
			}
			return options.Limit == 0 || len(found)-options.Offset < options.Limit
		})
		yieldPart(found, err, options, yield)
	}
}

// Categories fulfils [persistence.Streams]. What it yields was true at one moment.
func (j *Journal) Categories(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		match, err := options.CategoryMatcher()
		if err != nil {
			yield("", err)
			return
		}
		found := map[string]bool{}
		err = j.each(ctx, "", func(s *stream) bool {
			if category := s.id.Category(); s.exists() && category > options.After && !found[category] && match(category) {
				found[category] = true
			}
			return true
		})
		// The order of names is not that of their categories: "a!-1" comes before "a-1".
		yieldPart(slices.Sorted(maps.Keys(found)), err, options, yield)
	}
}

// yieldPart yields what Offset and Limit leave.
func yieldPart[T any](found []T, err error, options persistence.ListOptions, yield func(T, error) bool) {
	if err != nil {
		var none T
		yield(none, err)
		return
	}
	found = found[min(options.Offset, len(found)):]
	if options.Limit > 0 {
		found = found[:min(options.Limit, len(found))]
	}
	for _, one := range found {
		if !yield(one, nil) {
			return
		}
	}
}

// each calls visit with the streams behind a name, also those that do not exist,
// by name, until it returns false. It holds mu meanwhile.
func (j *Journal) each(ctx context.Context, after persistence.StreamID, visit func(*stream) bool) error {
	names, err := j.sorted(ctx)
	if err != nil {
		return err
	}
	if err := j.lockToRead(ctx); err != nil {
		return err
	}
	defer j.mu.RUnlock()
	at, found := slices.BinarySearch(names, after)
	if found {
		at++
	}
	for _, name := range names[at:] {
		if !visit(j.state.find(name)) {
			break
		}
	}
	return nil
}

// sorted returns the names of all streams in order. No stream is ever forgotten,
// so names that are as many as the streams are all of them.
func (j *Journal) sorted(ctx context.Context) ([]persistence.StreamID, error) {
	if err := j.lockToRead(ctx); err != nil {
		return nil, err
	}
	names, complete := j.names, len(j.names) == len(j.state.streams)
	j.mu.RUnlock()
	if complete {
		return names, nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.names) != len(j.state.streams) {
		j.names = slices.Sorted(maps.Keys(j.state.streams))
	}
	return j.names, nil
}
