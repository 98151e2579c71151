package journaltest

import (
	"context"
	"errors"
	"iter"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// imported has a fault change the events before they are imported.
func (r *rigged) imported(fault func(*persistence.Recorded)) {
	r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
		events = slices.Clone(events)
		for i := range events {
			fault(&events[i])
		}
		return r.Journal.Import(ctx, events)
	}
}

// wholly has a fault change the pages of who reads the whole sequence.
func (r *rigged) wholly(fault func(*persistence.Page)) {
	r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
		if !options.Whole {
			return r.Journal.ReadAll(ctx, options)
		}
		return r.pages(ctx, options, fault)
	}
}

var importMutants = map[string]mutant{
	"gives imported events the time of the import": {caughtBy: "a copy is equal to the original journal", fault: func(r *rigged) {
		r.imported(func(recorded *persistence.Recorded) { recorded.At = time.Now() })
	}},
	"knows no imported ids": {caughtBy: "imported ids are recognised if a caller chose them", fault: func(r *rigged) {
		r.imported(func(recorded *persistence.Recorded) { recorded.Named = false })
	}},
	"knows all imported ids": {caughtBy: "imported ids are recognised if a caller chose them", fault: func(r *rigged) {
		r.imported(func(recorded *persistence.Recorded) {
			recorded.Named = recorded.Type != persistence.TypeDeleted && recorded.Type != persistence.TypeGone
		})
	}},
	"makes sense of what no journal has stored": {caughtBy: "events that no journal can have stored are not imported", fault: func(r *rigged) {
		r.imported(func(recorded *persistence.Recorded) {
			if recorded.At.IsZero() {
				recorded.At = time.Now()
			}
		})
	}},
	"stores a part of an import that it refuses": {caughtBy: "events that do not follow their stream are not imported", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (position persistence.Position, err error) {
			for i := range events {
				if position, err = r.Journal.Import(ctx, events[i:i+1]); err != nil {
					return position, err
				}
			}
			return position, nil
		}
	}},
	"imports what lies behind a hole": {caughtBy: "events that do not follow their stream are not imported", fault: func(r *rigged) {
		r.imported(func(recorded *persistence.Recorded) {
			if version := r.version(root(), recorded.Stream); recorded.Version > version {
				recorded.Version = version + 1
			}
		})
	}},
	"takes any event for the one that was imported": {caughtBy: "events that do not follow their stream are not imported", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
			fresh := slices.DeleteFunc(slices.Clone(events), func(e persistence.Recorded) bool { return e.Version <= r.version(ctx, e.Stream) })
			return r.Journal.Import(ctx, fresh)
		}
	}},
	"refuses what was imported already": {caughtBy: "an import skips events that are there already", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
			for i := range events {
				if version := r.version(ctx, events[i].Stream); events[i].Version <= version {
					return persistence.Position{}, &persistence.ConflictError{Stream: events[i].Stream, Expected: persistence.Exact(events[i].Version - 1), Actual: version}
				}
			}
			return r.Journal.Import(ctx, events)
		}
	}},
	"compares what was scavenged": {caughtBy: "an import skips events that are there already", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
			for page := range r.Journal.ReadAll(ctx, persistence.ReadAllOptions{System: true, Whole: true}) {
				for i := range page.Events {
					for k := range events {
						stored, told := &page.Events[i], &events[k]
						if stored.Stream == told.Stream && stored.Version == told.Version && stored.Type != told.Type {
							return persistence.Position{}, &persistence.ConflictError{Stream: told.Stream, Expected: persistence.Exact(told.Version - 1), Actual: r.version(ctx, told.Stream)}
						}
					}
				}
			}
			return r.Journal.Import(ctx, events)
		}
	}},
	"goes on at an imported tombstone": {caughtBy: "an imported tombstone ends its stream", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
			position, err := r.Journal.Import(ctx, events)
			if n := len(events); err == nil && n > 0 && events[n-1].Type == persistence.TypeDeleted {
				err = r.Journal.Create(ctx, events[n-1].Stream, nil)
			}
			return position, err
		}
	}},
	"imports when nobody looks": {caughtBy: "many imports of the same events store them once", fault: func(r *rigged) {
		r.onImport = func(ctx context.Context, events []persistence.Recorded) (persistence.Position, error) {
			var fresh []persistence.Recorded
			for _, e := range events {
				if e.Version > r.version(ctx, e.Stream) {
					fresh = append(fresh, e)
				}
			}
			r.pause(ctx)
			for _, e := range fresh {
				e.ID = persistence.EventID{}
				if _, err := r.honest(ctx, persistence.Append{Stream: e.Stream, Expected: persistence.Any, Events: []persistence.Event{e.Event}}); err != nil {
					return persistence.Position{}, err
				}
			}
			return persistence.Position{}, nil
		}
	}},
	"imports without a wake": {caughtBy: "a waiting reader wakes on an import", fault: func(r *rigged) {
		r.onWait = func(ctx context.Context, _ persistence.Positions) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}},
	"forgets streams that are imported empty": {caughtBy: "the state of streams is imported", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			return r.Journal.ImportStreams(ctx, slices.DeleteFunc(slices.Clone(streams), func(i persistence.StreamInfo) bool { return i.Empty() }))
		}
	}},
	"brings back what was truncated before an import": {caughtBy: "the state of streams is imported", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			streams = slices.Clone(streams)
			for i := range streams {
				streams[i].First = streams[i].Begin
			}
			return r.Journal.ImportStreams(ctx, streams)
		}
	}},
	"begins revisions again in a copy": {caughtBy: "a copy is equal to the original journal", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			return r.Journal.ImportStreams(ctx, slices.DeleteFunc(slices.Clone(streams), func(i persistence.StreamInfo) bool { return i.Deleted }))
		}
	}},
	"takes back metadata for an older state": {caughtBy: "an import of an older state changes nothing", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			if err := r.Journal.ImportStreams(ctx, streams); err != nil {
				return err
			}
			for i := range streams {
				_, _ = r.Journal.SetMetadata(ctx, streams[i].Stream, streams[i].Metadata, persistence.AnyRevision)
			}
			return nil
		}
	}},
	"imports the state of streams that have not come as far": {caughtBy: "an import of an older state changes nothing", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			if err := r.Journal.ImportStreams(ctx, streams); !errors.Is(err, persistence.ErrConflict) || errors.Is(err, persistence.ErrRevision) {
				return err
			}
			return nil
		}
	}},
	"overlooks other metadata at the same revision": {caughtBy: "an import of an older state changes nothing", fault: func(r *rigged) {
		r.onImportStreams = func(ctx context.Context, streams []persistence.StreamInfo) error {
			if err := r.Journal.ImportStreams(ctx, streams); !errors.Is(err, persistence.ErrRevision) {
				return err
			}
			return nil
		}
	}},
	"hides what is gone from who copies": {caughtBy: "a reader of the whole sequence sees scavenged events and which ids are recognised", fault: func(r *rigged) {
		r.wholly(func(page *persistence.Page) {
			page.Events = slices.DeleteFunc(page.Events, func(e persistence.Recorded) bool { return e.Type == persistence.TypeGone })
		})
	}},
	"hides which ids are recognised from who copies": {caughtBy: "a reader of the whole sequence sees scavenged events and which ids are recognised", fault: func(r *rigged) {
		r.wholly(func(page *persistence.Page) {
			for i := range page.Events {
				page.Events[i].Named = false
			}
		})
	}},
	"reads the whole sequence backward": {caughtBy: "a reader of the whole sequence sees scavenged events and which ids are recognised", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			options.Whole = options.Whole && !options.Backward
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"hides deleted streams from who asks for them": {caughtBy: "deleted streams are listed on request", fault: func(r *rigged) {
		r.onList = r.listed(func(info *persistence.StreamInfo) bool { return !info.Deleted })
	}},
}
