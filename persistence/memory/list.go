package memory

import (
	"context"
	"iter"
	"maps"
	"slices"

	"github.com/stele-es/stele/persistence"
)

// List fulfils [persistence.Streams]. Its results are those of one moment.
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

// Categories fulfils [persistence.Streams]. Its results are those of one moment.
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
