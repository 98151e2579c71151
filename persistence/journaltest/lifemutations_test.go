package journaltest

import (
	"context"
	"errors"
	"iter"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
)

// everything are the events of a stream that the sequence shows, those that
// cannot be read included.
func (r *rigged) everything(ctx context.Context, stream persistence.StreamID) []persistence.Recorded {
	var events []persistence.Recorded
	for page := range r.Journal.ReadAll(ctx, persistence.ReadAllOptions{System: true}) {
		for _, recorded := range page.Events {
			if recorded.Stream == stream && recorded.Type != persistence.TypeDeleted {
				events = append(events, recorded)
			}
		}
	}
	return events
}

// past reads a stream as if nothing of it had been truncated.
func (r *rigged) past(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	return func(yield func(persistence.Recorded, error) bool) {
		if _, err := r.Journal.Stream(ctx, stream); err != nil {
			yield(persistence.Recorded{}, err)
			return
		}
		events := r.everything(ctx, stream)
		if options.Backward {
			slices.Reverse(events)
		}
		count := 0
		for _, recorded := range events {
			if options.From > 0 && (options.Backward && recorded.Version > options.From || !options.Backward && recorded.Version < options.From) {
				continue
			}
			if count++; !yield(recorded, nil) || count == options.Limit {
				return
			}
		}
	}
}

// listed makes a hook of which streams are listed.
func (r *rigged) listed(keep func(*persistence.StreamInfo) bool) func(context.Context, persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
	return func(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
		return func(yield func(persistence.StreamInfo, error) bool) {
			for info, err := range r.Journal.List(ctx, options) {
				if (err != nil || keep(&info)) && !yield(info, err) {
					return
				}
			}
		}
	}
}

// ends remembers where streams were deleted.
func (r *rigged) ends() func(persistence.StreamID) persistence.Version {
	ends := map[persistence.StreamID]persistence.Version{}
	r.onDelete = func(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
		version, err := r.Journal.Delete(ctx, stream, expected)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err == nil {
			ends[stream] = version
		}
		return version, err
	}
	return func(stream persistence.StreamID) persistence.Version {
		r.mu.RLock()
		defer r.mu.RUnlock()
		return ends[stream]
	}
}

// remembers has appends recognised by ids that the journal has forgotten.
func (r *rigged) remembers() {
	first := map[persistence.StreamID]map[persistence.EventID]persistence.Outcome{}
	r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
		if a.Named() {
			if outcome, known := first[a.Stream][a.Events[0].ID]; known {
				outcome.Duplicate = true
				return outcome, nil
			}
		}
		outcome, err := r.honest(ctx, a)
		if a.Named() && outcome.Err == nil {
			if first[a.Stream] == nil {
				first[a.Stream] = map[persistence.EventID]persistence.Outcome{}
			}
			first[a.Stream][a.Events[0].ID] = outcome
		}
		return outcome, err
	})
}

// meet gives others the time to come to the same place, so that two are between
// what they looked at and what they write.
func (r *rigged) meet() {
	at := r.met.Add(1)
	for i := 0; i < 5000 && r.met.Load() == at; i++ {
		runtime.Gosched()
	}
}

// pause gives others the time to change the journal.
func (r *rigged) pause(ctx context.Context) {
	before, _ := r.Head(ctx)
	for range 5000 {
		runtime.Gosched()
		if head, _ := r.Head(ctx); !samePlace(before, head) {
			return
		}
	}
}

var creationMutants = map[string]mutant{
	"takes a created stream for a missing one": {caughtBy: "a created stream is empty and exists", fault: func(r *rigged) {
		r.onStream = func(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if err == nil && info.Version == 0 {
				return persistence.StreamInfo{}, &persistence.StreamNotFoundError{Stream: stream}
			}
			return info, err
		}
	}},
	"creates a stream that exists": {caughtBy: "a stream that exists is not created again", fault: func(r *rigged) {
		r.onCreate = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
			if err := r.Journal.Create(ctx, stream, metadata); !errors.Is(err, persistence.ErrStreamExists) {
				return err
			}
			return nil
		}
	}},
	"checks that a stream is new before it creates it and not while": {caughtBy: "one of many callers that create a stream succeeds", fault: func(r *rigged) {
		r.onCreate = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
			if _, err := r.Journal.Stream(ctx, stream); err == nil {
				return &persistence.StreamExistsError{Stream: stream}
			}
			r.meet()
			_ = r.Journal.Create(ctx, stream, metadata)
			return nil
		}
	}},
	"refuses the first event of a created stream": {caughtBy: "the expected version decides at each stage of a stream's life", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if info, err := r.Journal.Stream(ctx, a.Stream); err == nil && a.Expected == persistence.NoStream && len(a.Events) > 0 {
				return persistence.Outcome{Err: &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: info.Version}}, nil
			}
			return r.honest(ctx, a)
		})
	}},
	"ends a created stream with its first event": {caughtBy: "metadata of a stream is separate from that of its events", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			_, _ = r.Journal.SetMetadata(ctx, a.Stream, nil, persistence.AnyRevision)
			return r.honest(ctx, a)
		})
	}},
	"ignores the revision": {caughtBy: "metadata is changed only at the expected revision", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, _ persistence.Revision) (persistence.Revision, error) {
			return r.Journal.SetMetadata(ctx, stream, metadata, persistence.AnyRevision)
		}
	}},
	"checks the revision before it writes and not while": {caughtBy: "one of many callers that change metadata at a revision succeeds", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if err == nil && expected != persistence.AnyRevision && expected != info.Revision {
				return 0, &persistence.RevisionError{Stream: stream, Expected: expected, Actual: info.Revision}
			}
			r.meet()
			return r.Journal.SetMetadata(ctx, stream, metadata, persistence.AnyRevision)
		}
	}},
	"counts a revision when the same metadata is set": {caughtBy: "setting the same metadata changes nothing", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if err == nil && info.Metadata.Equal(metadata) {
				_, _ = r.Journal.SetMetadata(ctx, stream, persistence.Metadata{"other": persistence.Int(1)}, persistence.AnyRevision)
				expected = persistence.AnyRevision
			}
			return r.Journal.SetMetadata(ctx, stream, metadata, expected)
		}
	}},
	"refuses the same metadata at another revision": {caughtBy: "setting the same metadata changes nothing", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if err == nil && expected != persistence.AnyRevision && expected != info.Revision {
				return 0, &persistence.RevisionError{Stream: stream, Expected: expected, Actual: info.Revision}
			}
			return r.Journal.SetMetadata(ctx, stream, metadata, expected)
		}
	}},
	"truncates an empty stream": {caughtBy: "a stream that is created after its end is empty", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			info, err := r.Journal.Stream(ctx, stream)
			if err == nil && !options.Backward && options.From > 0 && options.From < info.First {
				return func(yield func(persistence.Recorded, error) bool) {
					yield(persistence.Recorded{}, &persistence.TruncatedError{Stream: stream, First: info.First})
				}
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"adds metadata to what is there": {caughtBy: "metadata of a stream comes back with its kinds", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
			all := persistence.Metadata{}
			info, _ := r.Journal.Stream(ctx, stream)
			maps.Copy(all, info.Metadata)
			maps.Copy(all, metadata)
			return r.Journal.SetMetadata(ctx, stream, all, expected)
		}
	}},
	"sets metadata of a stream that does not exist": {caughtBy: "metadata of a stream that does not exist cannot be set", fault: func(r *rigged) {
		r.onSetMetadata = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, expected persistence.Revision) (persistence.Revision, error) {
			_ = r.Journal.Create(ctx, stream, nil)
			return r.Journal.SetMetadata(ctx, stream, metadata, expected)
		}
	}},
	"does not check the metadata of streams": {caughtBy: "metadata that breaks the rules is refused", fault: func(r *rigged) {
		r.onCreate = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
			if metadata.Check() != nil {
				metadata = nil
			}
			return r.Journal.Create(ctx, stream, metadata)
		}
	}},
	"looks for names that no stream can have": {caughtBy: "a name that no stream can have is refused everywhere", fault: func(r *rigged) {
		r.onTruncate = func(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
			if stream.CheckName() != nil {
				return 0, &persistence.StreamNotFoundError{Stream: stream}
			}
			return r.Journal.Truncate(ctx, stream, before)
		}
	}},
}

var deletionMutants = map[string]mutant{
	"counts the events of a deleted stream": {caughtBy: "readers do not find a deleted stream", fault: func(r *rigged) {
		r.onCount = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
			count, err := r.Journal.Count(ctx, stream, options)
			if events := r.everything(ctx, stream); errors.Is(err, persistence.ErrStreamNotFound) && len(events) > 0 {
				return len(events), nil
			}
			return count, err
		}
	}},
	"checks that a stream exists before it deletes it and not while": {caughtBy: "one of many callers that delete a stream succeeds", fault: func(r *rigged) {
		r.onDelete = func(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if err != nil {
				return 0, err
			}
			r.meet()
			if version, err := r.Journal.Delete(ctx, stream, expected); err == nil {
				return version, nil
			}
			return info.Version + 1, nil
		}
	}},
	"begins a life where another was truncated": {caughtBy: "a truncation ends with its stream", fault: func(r *rigged) {
		highest := map[persistence.StreamID]persistence.Version{}
		r.onTruncate = func(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
			highest[stream] = max(highest[stream], before)
			return r.Journal.Truncate(ctx, stream, highest[stream])
		}
	}},
	"goes on at a tombstone again": {caughtBy: "a reader that continues from a tombstone sees the events after it", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			at := options.After.Of(0)
			for page := range r.Journal.ReadAll(ctx, persistence.ReadAllOptions{System: true}) {
				for _, recorded := range page.Events {
					if recorded.Type == persistence.TypeDeleted && recorded.Position == at {
						at.Offset--
						options.After = options.After.With(at)
					}
				}
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"counts from 1 when a stream is written again": {caughtBy: "a stream that is written again counts on", fault: func(r *rigged) {
		end := r.ends()
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if outcome.First > 0 {
				outcome.First -= end(a.Stream)
				outcome.Last -= end(a.Stream)
			}
			return outcome, err
		})
		r.onRecorded = func(recorded *persistence.Recorded) {
			if end := end(recorded.Stream); recorded.Version > end {
				recorded.Version -= end
			}
		}
	}},
	"reads what was deleted when a stream is written again": {caughtBy: "a stream that is written again counts on", fault: func(r *rigged) {
		r.onRead = r.past
	}},
	"hides tombstones from the sequence": {caughtBy: "a tombstone is an event of the sequence", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool { return e.Type == persistence.TypeDeleted })
			})
		}
	}},
	"hides what was deleted from the sequence": {caughtBy: "a tombstone is an event of the sequence", fault: func(r *rigged) {
		end := r.ends()
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool { return e.Version < end(e.Stream) })
			})
		}
	}},
	"deletes whatever is expected": {caughtBy: "the expected version decides about a deletion", fault: func(r *rigged) {
		r.onDelete = func(ctx context.Context, stream persistence.StreamID, _ persistence.Expected) (persistence.Version, error) {
			return r.Journal.Delete(ctx, stream, persistence.Any)
		}
	}},
	"checks the expectation before it looks for the stream": {caughtBy: "the expected version decides about a deletion", fault: func(r *rigged) {
		r.onDelete = func(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
			if actual := r.version(ctx, stream); !expected.Accepts(actual) {
				return 0, &persistence.ConflictError{Stream: stream, Expected: expected, Actual: actual}
			}
			return r.Journal.Delete(ctx, stream, expected)
		}
	}},
	"deletes a stream twice": {caughtBy: "a stream is not deleted twice", fault: func(r *rigged) {
		r.onDelete = func(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
			version, err := r.Journal.Delete(ctx, stream, expected)
			if errors.Is(err, persistence.ErrStreamNotFound) {
				return version, nil
			}
			return version, err
		}
	}},
	"knows the ids of a deleted stream": {caughtBy: "a deletion forgets the ids of its stream", fault: (*rigged).remembers},
	"lets a writer pass who has not seen a deletion": {caughtBy: "a writer that has not seen a deletion gets a conflict", fault: func(r *rigged) {
		end := r.ends()
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if last := end(a.Stream); last > 0 && a.Expected == persistence.Exact(last-1) {
				a.Expected = persistence.NoStream
			}
			return r.honest(ctx, a)
		})
	}},
	"keeps metadata across a deletion": {caughtBy: "revisions go on across a deletion", fault: func(r *rigged) {
		last := map[persistence.StreamID]persistence.Metadata{}
		r.onCreate = func(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
			if metadata == nil {
				metadata = last[stream]
			}
			last[stream] = metadata
			return r.Journal.Create(ctx, stream, metadata)
		}
	}},
	"begins revisions again after a deletion": {caughtBy: "revisions go on across a deletion", fault: func(r *rigged) {
		r.onStream = func(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if info.Begin > 1 {
				info.Revision = 0
			}
			return info, err
		}
	}},
	"stores tombstones of everybody": {caughtBy: "only the journal itself writes tombstones", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			for i := range a.Events {
				a.Events[i].Type = strings.TrimPrefix(a.Events[i].Type, "$")
			}
			return r.honest(ctx, a)
		})
	}},
	"acknowledges deletions and drops some": {caughtBy: "deletions and truncations among writers lose nothing", fault: func(r *rigged) {
		var count atomic.Int64
		r.onDelete = func(ctx context.Context, stream persistence.StreamID, expected persistence.Expected) (persistence.Version, error) {
			if count.Add(1)%5 == 0 {
				return r.version(ctx, stream) + 1, nil
			}
			return r.Journal.Delete(ctx, stream, expected)
		}
	}},
	"reads on while a stream ends": {caughtBy: "a stream is read whole while it is deleted and truncated", fault: func(r *rigged) {
		// It looks for each event anew, as one who pages by version and is not told where
		// the stream begins meanwhile.
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			return func(yield func(persistence.Recorded, error) bool) {
				for from := options.From; ; {
					found := false
					for _, recorded := range r.everything(ctx, stream) {
						if recorded.Version > from {
							found, from = true, recorded.Version
							if !yield(recorded, nil) {
								return
							}
							r.pause(ctx)
							break
						}
					}
					if !found {
						return
					}
				}
			}
		}
	}},
	"deletes without a wake": {caughtBy: "a waiting reader wakes on a deletion", fault: func(r *rigged) {
		r.onWait = func(ctx context.Context, after persistence.Positions) error {
			for {
				if err := r.Journal.Wait(ctx, after); err != nil {
					return err
				}
				events, at := 0, after
				for page := range r.Journal.ReadAll(ctx, persistence.ReadAllOptions{After: after, System: true}) {
					drop(&page, func(e *persistence.Recorded) bool { return e.Type == persistence.TypeDeleted })
					events, at = events+len(page.Events), page.Next
				}
				if events > 0 || samePlace(at, after) {
					return nil
				}
				after = at
			}
		}
	}},
}

var truncationMutants = map[string]mutant{
	"lowers a truncation": {caughtBy: "a truncation never goes back and leaves the newest event", fault: func(r *rigged) {
		r.onTruncate = func(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
			first, err := r.Journal.Truncate(ctx, stream, before)
			return min(first, max(before, 1)), err
		}
	}},
	"truncates the newest event": {caughtBy: "a truncation never goes back and leaves the newest event", fault: func(r *rigged) {
		r.onTruncate = func(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
			first, err := r.Journal.Truncate(ctx, stream, before)
			return max(first, before), err
		}
	}},
	"begins later without a word": {caughtBy: "truncated events cannot be read in their stream", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if info, _ := r.Journal.Stream(ctx, stream); !options.Backward && options.From < info.First {
				options.From = 0
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"reads backward what was truncated": {caughtBy: "truncated events cannot be read in their stream", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if options.Backward {
				return r.past(ctx, stream, options)
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"hides what was truncated from the sequence": {caughtBy: "truncated events stay in the sequence", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool {
					info, _ := r.Journal.Stream(ctx, e.Stream)
					return e.Version < info.First
				})
			})
		}
	}},
	"forgets the ids of what is truncated": {caughtBy: "a truncated stream continues as before", fault: func(r *rigged) {
		r.onTruncate = func(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
			first, err := r.Journal.Truncate(ctx, stream, before)
			_, _ = r.Journal.Scavenge(ctx, stream)
			return first, err
		}
	}},
	"shows scavenged events": {caughtBy: "scavenged events are skipped and leave no gap", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, fillGaps(&options))
		}
	}},
	"closes the gaps of scavenged events": {caughtBy: "scavenged events are skipped and leave no gap", fault: func(r *rigged) {
		gone := int64(0)
		r.onScavenge = func(ctx context.Context, stream persistence.StreamID) (int, error) {
			events, err := r.Journal.Scavenge(ctx, stream)
			gone += int64(events)
			return events, err
		}
		r.onRecorded = func(recorded *persistence.Recorded) {
			if recorded.Position.Offset > gone {
				recorded.Position.Offset -= gone
			}
		}
	}},
	"scavenges tombstones": {caughtBy: "scavenged events are skipped and leave no gap", fault: func(r *rigged) {
		scavenged := map[persistence.StreamID]bool{}
		r.onScavenge = func(ctx context.Context, stream persistence.StreamID) (int, error) {
			scavenged[stream] = true
			return r.Journal.Scavenge(ctx, stream)
		}
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool { return e.Type == persistence.TypeDeleted && scavenged[e.Stream] })
			})
		}
	}},
	"scavenges what can be read": {caughtBy: "scavenging removes nothing that can be read", fault: func(r *rigged) {
		r.onScavenge = func(ctx context.Context, stream persistence.StreamID) (int, error) {
			_, _ = r.Journal.Truncate(ctx, stream, r.version(ctx, stream))
			return r.Journal.Scavenge(ctx, stream)
		}
	}},
	"knows the ids of scavenged events": {caughtBy: "scavenging forgets the ids of the events that it empties", fault: (*rigged).remembers},
	"takes an empty page for the end": {caughtBy: "long runs of scavenged events are skipped", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return func(yield func(persistence.Page, error) bool) {
				for page, err := range r.Journal.ReadAll(ctx, options) {
					page.AtHead = page.AtHead || len(page.Events) == 0
					if !yield(page, err) || page.AtHead {
						return
					}
				}
			}
		}
	}},
}

// fillGaps shows an event at every place that the pages of a reading pass over.
func fillGaps(options *persistence.ReadAllOptions) func(*persistence.Page) {
	at := options.After.Of(0).Offset
	return func(page *persistence.Page) {
		var filled []persistence.Recorded
		for _, recorded := range page.Events {
			for at++; at < recorded.Position.Offset && options.System; at++ {
				filled = append(filled, persistence.Recorded{
					Event: persistence.Event{Type: persistence.TypeGone}, Stream: recorded.Stream, Position: persistence.Position{Offset: at},
				})
			}
			filled, at = append(filled, recorded), recorded.Position.Offset
		}
		page.Events = filled
	}
}
