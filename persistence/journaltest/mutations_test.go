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
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// mutant is a journal with one fault.
type mutant struct {
	// caughtBy is the case that must fail on it.
	caughtBy string
	// fault rigs a memory journal, reopened what a durable one is after the first
	// opening; one of them is set.
	fault    func(*rigged)
	reopened func(*memory.Journal) complete
	// trusting says that a durable one goes on with whatever it finds in its place.
	trusting bool
}

func (m mutant) open() persistence.Journal {
	r := &rigged{Journal: new(memory.Journal)}
	if m.fault != nil {
		m.fault(r)
	}
	return r
}

func mutants() map[string]mutant {
	all := map[string]mutant{}
	for _, group := range []map[string]mutant{
		appendMutants, nameMutants, orderMutants, readMutants, sequenceMutants, lifeMutants, reopenMutants,
		creationMutants, deletionMutants, truncationMutants, listMutants, filterMutants, refusalMutants, backwardMutants, transactionMutants, keepingMutants,
		importMutants, checkMutants,
	} {
		maps.Copy(all, group)
	}
	return all
}

var appendMutants = map[string]mutant{
	"ignores the expected version": {caughtBy: "the expected version decides", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			a.Expected = persistence.Any
			return r.honest(ctx, a)
		})
	}},
	"takes NoStream for Any": {caughtBy: "the expected version decides", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if a.Expected == persistence.NoStream {
				a.Expected = persistence.Any
			}
			return r.honest(ctx, a)
		})
	}},
	"acknowledges before it stores and drops some": {caughtBy: "writers without an expectation lose nothing", fault: func(r *rigged) {
		var count atomic.Int64
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if count.Add(1)%50 != 0 {
				return r.honest(ctx, a)
			}
			head, err := r.Head(ctx)
			version := r.version(ctx, a.Stream)
			return persistence.Outcome{
				First: version + 1, Last: version + persistence.Version(len(a.Events)), Position: persistence.Position{Offset: head.Of(0).Offset + 1},
			}, err
		})
	}},
	"checks the version before it writes and not while": {caughtBy: "one of many writers that expect the same version succeeds", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if actual := r.version(ctx, a.Stream); !a.Expected.Accepts(actual) {
				return persistence.Outcome{Err: &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: actual}}, nil
			}
			r.pause(ctx)
			a.Expected = persistence.Any
			return r.honest(ctx, a)
		})
	}},
	"fails the whole call when one append conflicts": {caughtBy: "appends of one call succeed or fail alone", fault: func(r *rigged) {
		r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
			for _, a := range appends {
				if actual := r.version(ctx, a.Stream); !a.Expected.Accepts(actual) {
					outcomes := make([]persistence.Outcome, len(appends))
					for i := range outcomes {
						outcomes[i].Err = &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: actual}
					}
					return outcomes, nil
				}
			}
			return r.Journal.Append(ctx, appends...)
		}
	}},
	"stores a part of what it refuses": {caughtBy: "an append is stored whole or not at all", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(outcome.Err, persistence.ErrConflict) {
				_, err = r.honest(ctx, persistence.Append{Stream: a.Stream, Expected: persistence.Any, Events: a.Events[:1]})
			}
			return outcome, err
		})
	}},
	"checks nothing in an append without events": {caughtBy: "an append without events checks the expectation and stores nothing", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if len(a.Events) == 0 {
				a.Expected = persistence.Any
			}
			return r.honest(ctx, a)
		})
	}},
	"turns the appends of a call around": {caughtBy: "appends to one stream in one call follow each other", fault: func(r *rigged) {
		r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
			outcomes := make([]persistence.Outcome, len(appends))
			for i := len(appends) - 1; i >= 0; i-- {
				outcomes[i], _ = r.honest(ctx, appends[i])
			}
			return outcomes, nil
		}
	}},
	"stores the valid appends of an invalid call": {caughtBy: "an invalid append refuses the whole call", fault: func(r *rigged) {
		r.one(r.honest)
	}},
	"stores for a caller who has left": {caughtBy: "a caller whose context has ended changes nothing", fault: func(r *rigged) {
		r.onAppend = func(ctx context.Context, appends []persistence.Append) ([]persistence.Outcome, error) {
			outcomes, err := r.Journal.Append(context.WithoutCancel(ctx), appends...)
			if ctx.Err() != nil {
				return nil, &persistence.UnavailableError{Reason: "the caller left"}
			}
			return outcomes, err
		}
	}},
	"reports an append as refused whose caller left after it": {caughtBy: "an append whose caller leaves is stored, refused or of unknown outcome", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			for i := 0; i < 2000 && ctx.Err() == nil; i++ { // the flush, during which a caller may leave
				runtime.Gosched()
			}
			if err == nil && ctx.Err() != nil {
				outcome.Err = &persistence.UnavailableError{Reason: "the caller left", Err: ctx.Err()}
			}
			return outcome, err
		})
	}},
	"has no limits": {caughtBy: "a value at a limit is stored, and a value above it refused", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(err, persistence.ErrInvalid) {
				return persistence.Outcome{First: 1, Last: 1, Position: persistence.Position{Offset: 1}}, nil
			}
			return outcome, err
		})
	}},
	"leaves a stream behind what it refuses": {caughtBy: "a refused append leaves no stream behind", fault: func(r *rigged) {
		refused := map[persistence.StreamID]bool{}
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if outcome.Err != nil {
				refused[a.Stream] = true
			}
			return outcome, err
		})
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if refused[stream] {
				return func(func(persistence.Recorded, error) bool) {}
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
}

var nameMutants = map[string]mutant{
	"stores repeated ids again": {caughtBy: "the same ids with the same content give the first result", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if outcome.Duplicate {
				return r.honest(ctx, persistence.Append{Stream: a.Stream, Expected: persistence.Any, Events: unnamed(a.Events)})
			}
			return outcome, err
		})
	}},
	"takes other content for a repetition": {caughtBy: "the same ids with other content are refused and store nothing", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(outcome.Err, persistence.ErrEventIDReused) {
				return persistence.Outcome{First: 1, Last: persistence.Version(len(a.Events)), Position: persistence.Position{Offset: 1}, Duplicate: true}, nil
			}
			return outcome, err
		})
	}},
	"gives a repetition the place of the head": {caughtBy: "the same ids with the same content give the first result", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if outcome.Duplicate {
				head, _ := r.Head(ctx)
				outcome.Position = head.Of(0)
			}
			return outcome, err
		})
	}},
	"checks the version before the ids": {caughtBy: "the same ids with the same content give the first result", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if actual := r.version(ctx, a.Stream); !a.Expected.Accepts(actual) {
				return persistence.Outcome{Err: &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: actual}}, nil
			}
			return r.honest(ctx, a)
		})
	}},
	"takes headers for content": {caughtBy: "headers and the form of empty metadata do not count as content", fault: func(r *rigged) {
		headers := map[persistence.EventID]string{}
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			for i := range a.Events {
				first, known := headers[a.Events[i].ID]
				if known && first != string(a.Events[i].Headers) {
					return persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: a.Stream, ID: a.Events[i].ID}}, nil
				}
				headers[a.Events[i].ID] = string(a.Events[i].Headers)
			}
			return r.honest(ctx, a)
		})
	}},
	"stores the fresh part of an overlap": {caughtBy: "ids that overlap in part or in another order are refused", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(outcome.Err, persistence.ErrEventIDReused) {
				_, err = r.honest(ctx, persistence.Append{Stream: a.Stream, Expected: persistence.Any, Events: a.Events[:1]})
			}
			return outcome, err
		})
	}},
	"keeps ids for the whole journal": {caughtBy: "an id may stand in two streams", fault: func(r *rigged) {
		owner := map[persistence.EventID]persistence.StreamID{}
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			for i := range a.Events {
				if stream, known := owner[a.Events[i].ID]; known && stream != a.Stream {
					return persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: a.Stream, ID: a.Events[i].ID}}, nil
				}
				owner[a.Events[i].ID] = a.Stream
			}
			return r.honest(ctx, a)
		})
	}},
	"forgets the ids of a stream that has grown": {caughtBy: "any sequence of calls is answered as the model answers it", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			if r.version(ctx, a.Stream) >= 6 && a.Named() {
				a.Events = unnamed(a.Events)
			}
			return r.honest(ctx, a)
		})
	}},
	"folds the case of names": {caughtBy: "names are bytes and come back unchanged", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			a.Stream, a.Expected = persistence.StreamID(strings.ToLower(string(a.Stream))), persistence.Any
			return r.honest(ctx, a)
		})
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			return r.Journal.Read(ctx, persistence.StreamID(strings.ToLower(string(stream))), options)
		}
	}},
}

func unnamed(events []persistence.Event) []persistence.Event {
	fresh := make([]persistence.Event, len(events))
	for i := range events {
		fresh[i] = events[i]
		fresh[i].ID = persistence.EventID{}
	}
	return fresh
}

var orderMutants = map[string]mutant{
	"leaves gaps between positions": {caughtBy: "an append gives versions and positions without gap", fault: func(r *rigged) {
		const waste = "waste"
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if outcome.Position.Offset%4 == 0 {
				_, err = r.honest(ctx, persistence.Append{Stream: waste, Expected: persistence.Any, Events: []persistence.Event{{Type: waste}}})
			}
			return outcome, err
		})
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool { return e.Stream == waste })
			})
		}
	}},
	"leaves gaps between versions": {caughtBy: "an append gives versions and positions without gap", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) {
			if recorded.Version > 3 {
				recorded.Version++
			}
		}
	}},
	"publishes positions out of their order": {caughtBy: "a reader that follows the sequence misses nothing", fault: func(r *rigged) {
		late := map[int64]bool{} // positions that are taken and not yet visible
		var reads atomic.Int64
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			r.mu.Lock()
			outcome, err := r.honest(ctx, a)
			at := outcome.Position.Offset
			late[at] = at%4 == 0
			r.mu.Unlock()
			for seen, i := reads.Load(), 0; at%4 == 0 && reads.Load() == seen && i < 2000; i++ {
				runtime.Gosched() // until somebody has read meanwhile
			}
			r.mu.Lock()
			delete(late, at)
			r.mu.Unlock()
			return outcome, err
		})
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return func(yield func(persistence.Page, error) bool) {
				for done := false; !done; {
					r.mu.RLock()
					page, err := firstPage(ctx, r.Journal, options)
					drop(&page, func(e *persistence.Recorded) bool { return late[e.Position.Offset] })
					r.mu.RUnlock()
					reads.Add(1)
					options.After = page.Next
					done = !yield(page, err) || err != nil || page.AtHead
				}
			}
		}
	}},
	"ignores chains": {caughtBy: "a broken chain stores nothing more", fault: func(r *rigged) {
		r.onSubmit = func(a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
			return r.Journal.Submit(a, nil, done)
		}
	}},
	"mends a chain when its version comes about": {caughtBy: "a broken chain stays broken when its version is reached later", fault: func(r *rigged) {
		r.onSubmit = func(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
			if a.Expected.Accepts(r.version(root(), a.Stream)) {
				chain = nil
			}
			return r.Journal.Submit(a, chain, done)
		}
	}},
	"breaks all chains with one": {caughtBy: "a broken chain does not affect other streams, chains and appends", fault: func(r *rigged) {
		one := new(persistence.Chain)
		r.onSubmit = func(a persistence.Append, _ *persistence.Chain, done func(persistence.Outcome)) error {
			return r.Journal.Submit(a, one, done)
		}
	}},
	"calls done twice": {caughtBy: "the callback is called once for each append that was taken", fault: func(r *rigged) {
		r.onSubmit = func(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
			return r.Journal.Submit(a, chain, func(o persistence.Outcome) {
				done(o)
				if o.Position.Offset == 3 {
					done(o)
				}
			})
		}
	}},
	"drops what was submitted when it closes": {caughtBy: "closing settles every append that was taken", fault: func(r *rigged) {
		var count atomic.Int64
		r.onSubmit = func(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
			if count.Add(1) > 290 {
				return nil
			}
			return r.Journal.Submit(a, chain, done)
		}
	}},
	"reads what was true a moment ago": {caughtBy: "each stream is linearizable", fault: func(r *rigged) {
		last := map[persistence.StreamID][]persistence.Recorded{}
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			return func(yield func(persistence.Recorded, error) bool) {
				events, _ := collect(r.Journal.Read(ctx, stream, options))
				r.mu.Lock()
				events, last[stream] = last[stream], events
				r.mu.Unlock()
				for _, recorded := range events {
					if !yield(recorded, nil) {
						return
					}
				}
			}
		}
	}},
}

func drop(page *persistence.Page, unwanted func(*persistence.Recorded) bool) {
	kept := page.Events[:0]
	for i := range page.Events {
		if !unwanted(&page.Events[i]) {
			kept = append(kept, page.Events[i])
		}
	}
	page.Events = kept
}

func firstPage(ctx context.Context, j *memory.Journal, options persistence.ReadAllOptions) (persistence.Page, error) {
	for page, err := range j.ReadAll(ctx, options) {
		return page, err
	}
	return persistence.Page{}, nil
}

var readMutants = map[string]mutant{
	"reads backward from one version too low": {caughtBy: "a stream is read forward and backward from any version", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if options.Backward && options.From > 1 {
				options.From--
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"takes From as the last version seen": {caughtBy: "a stream is read in pages of any size", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if !options.Backward && options.From > 1 {
				options.From++
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"shows a missing stream as an empty one": {caughtBy: "a missing stream is not an empty one", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if r.version(ctx, stream) == 0 {
				return func(func(persistence.Recorded, error) bool) {}
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"goes on with a loop where it was left": {caughtBy: "a loop over a stream may be left and begun again", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			return func(yield func(persistence.Recorded, error) bool) {
				for recorded, err := range r.Journal.Read(ctx, stream, options) {
					options.From = recorded.Version + 1
					if !yield(recorded, err) {
						return
					}
				}
			}
		}
	}},
	"hands out its own slices": {caughtBy: "values that a journal takes and returns belong to the caller", fault: func(r *rigged) {
		payloads := map[int64][]byte{}
		r.onRecorded = func(recorded *persistence.Recorded) {
			if payloads[recorded.Position.Offset] == nil {
				payloads[recorded.Position.Offset] = recorded.Payload
			}
			recorded.Payload = payloads[recorded.Position.Offset]
		}
	}},
	"keeps the writer's slices": {caughtBy: "values that a journal takes and returns belong to the caller", fault: func(r *rigged) {
		r.one(func(_ context.Context, a persistence.Append) (outcome persistence.Outcome, err error) {
			err = r.Journal.Submit(a, nil, func(o persistence.Outcome) { outcome = o })
			return outcome, err
		})
	}},
	"turns whole floats into integers": {caughtBy: "metadata comes back with its kinds", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) {
			for key, value := range recorded.Metadata {
				if f, ok := value.AsFloat(); ok && f == float64(int64(f)) {
					recorded.Metadata[key] = persistence.Int(int64(f))
				}
			}
		}
	}},
	"passes integers through floats": {caughtBy: "metadata comes back with its kinds", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) {
			for key, value := range recorded.Metadata {
				if n, ok := value.AsInt(); ok {
					recorded.Metadata[key] = persistence.Int(int64(float64(n)))
				}
			}
		}
	}},
	"writes ids into the caller's events": {caughtBy: "values that a journal takes and returns belong to the caller", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			named(a.Events...)
			return outcome, err
		})
	}},
	"forgets tags": {caughtBy: "tags come back as a set", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) { recorded.Tags = nil }
	}},
	"keeps a tag once for all its spellings": {caughtBy: "tags come back as a set", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) {
			seen := map[string]bool{}
			recorded.Tags = slices.DeleteFunc(recorded.Tags, func(tag string) bool {
				folded := strings.ToLower(strings.TrimSpace(tag))
				twice := seen[folded]
				seen[folded] = true
				return twice
			})
		}
	}},
	"takes other tags for a repetition": {caughtBy: "tags count as content, and their order does not", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(outcome.Err, persistence.ErrEventIDReused) {
				return persistence.Outcome{First: 1, Last: 1, Position: persistence.Position{Offset: 1}, Duplicate: true}, nil
			}
			return outcome, err
		})
	}},
	"cuts payloads at a zero byte": {caughtBy: "an event comes back as it was given", fault: func(r *rigged) {
		r.onRecorded = func(recorded *persistence.Recorded) {
			text, _, _ := strings.Cut(string(recorded.Payload), "\x00")
			recorded.Payload = []byte(text)
		}
	}},
	"tells the time of another zone": {caughtBy: "the time of an event is in UTC with microseconds", fault: func(r *rigged) {
		zone := time.FixedZone("elsewhere", 3600)
		r.onRecorded = func(recorded *persistence.Recorded) { recorded.At = recorded.At.In(zone) }
	}},
}

var sequenceMutants = map[string]mutant{
	"skips an event between two pages": {caughtBy: "the global sequence is read in pages of any size", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			first := true
			return r.pages(ctx, options, func(page *persistence.Page) {
				if !first && len(page.Events) > 1 {
					page.Events = page.Events[1:]
				}
				first = false
			})
		}
	}},
	"yields the event at the place again": {caughtBy: "the global sequence is read in pages of any size", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if at := options.After.Of(0); at.Offset > 0 {
				at.Offset--
				options.After = options.After.With(at)
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"shows system streams": {caughtBy: "system streams are shown on request only", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			options.System = true
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"stops before hidden events": {caughtBy: "the next place lies behind hidden streams", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				page.Next = options.After
				for _, recorded := range page.Events {
					page.Next = page.Next.With(recorded.Position)
				}
			})
		}
	}},
	"has pages without bound": {caughtBy: "a page is limited by its bytes and has at least one event", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			options.PageBytes = 0
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"moves a place beyond the head back to it": {caughtBy: "a place beyond the head is an empty page at the head", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				if page.AtHead {
					page.Next, _ = r.Head(ctx)
				}
			})
		}
	}},
	"ends without a page at the head": {caughtBy: "an empty journal is one empty page", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return func(yield func(persistence.Page, error) bool) {
				for page, err := range r.Journal.ReadAll(ctx, options) {
					if err == nil && len(page.Events) == 0 || !yield(page, err) {
						return
					}
				}
			}
		}
	}},
}

var lifeMutants = map[string]mutant{
	"never wakes who waits": {caughtBy: "a waiting reader wakes on an append", fault: func(r *rigged) {
		r.onWait = func(ctx context.Context, after persistence.Positions) error {
			if head, err := r.Head(ctx); err != nil || !samePlace(head, after) {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}},
	"hides why a waiting caller has left": {caughtBy: "a waiting reader that leaves gets the reason", fault: func(r *rigged) {
		r.onWait = func(ctx context.Context, after persistence.Positions) error {
			if err := r.Journal.Wait(ctx, after); err != nil {
				return ctx.Err()
			}
			return nil
		}
	}},
	"goes on when it is closed": {caughtBy: "a closed journal is unavailable", fault: func(r *rigged) {
		r.onClose = func() error { return nil }
	}},
	"leaves readers waiting when it is closed": {caughtBy: "closing wakes waiting readers", fault: func(r *rigged) {
		r.onWait = func(ctx context.Context, after persistence.Positions) error {
			if err := r.Journal.Wait(ctx, after); !errors.Is(err, persistence.ErrUnavailable) {
				return err
			}
			<-ctx.Done()
			return context.Cause(ctx)
		}
	}},
	"fails in a way of its own while it closes": {caughtBy: "closing under load answers every append", fault: func(r *rigged) {
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			outcome, err := r.honest(ctx, a)
			if errors.Is(err, persistence.ErrUnavailable) {
				err = errors.New("conn closed")
			}
			return outcome, err
		})
	}},
	"has another identity at each call": {caughtBy: "a journal has one identity that is its own", fault: func(r *rigged) {
		r.onIdentity = func() persistence.JournalID { return persistence.JournalID(persistence.NewEventID()) }
	}},
	"has the identity of every other journal": {caughtBy: "a journal has one identity that is its own", fault: func(r *rigged) {
		r.onIdentity = func() persistence.JournalID { return persistence.JournalID{1} }
	}},
}

var reopenMutants = map[string]mutant{
	"goes on with a journal that took its place": {
		caughtBy: "nothing is stored in another journal that has replaced this one", trusting: true,
		reopened: func(disk *memory.Journal) complete { return disk },
	},
	"loses the last append in a crash":  {caughtBy: "acknowledged events survive a crash", reopened: withoutLast},
	"loses some of the load in a crash": {caughtBy: "many crashes under load lose nothing", reopened: withoutLast},
	"forgets ids when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		r := &rigged{Journal: disk}
		r.one(func(ctx context.Context, a persistence.Append) (persistence.Outcome, error) {
			a.Events = unnamed(a.Events)
			return r.honest(ctx, a)
		})
		return r
	}},
	"begins to count anew when it is opened again": {caughtBy: "a journal that is opened again counts on", reopened: func(*memory.Journal) complete {
		return new(memory.Journal)
	}},
	"forgets streams without events when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		r := &rigged{Journal: disk}
		r.onList = r.listed(func(info *persistence.StreamInfo) bool { return info.Version > 0 })
		return r
	}},
	"forgets truncations when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		r := &rigged{Journal: disk}
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			return r.past(ctx, stream, options)
		}
		return r
	}},
	"forgets the end of streams when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		r := &rigged{Journal: disk}
		r.onStream = func(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if errors.Is(err, persistence.ErrStreamNotFound) && r.version(ctx, stream) == 0 && len(r.everything(ctx, stream)) > 0 {
				return persistence.StreamInfo{Stream: stream, First: 1, Begin: 1}, nil
			}
			return info, err
		}
		return r
	}},
	"forgets snapshots when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		return &rigged{Journal: disk, damaged: map[persistence.StreamID]bool{"kept-2": true}}
	}},
	"forgets schemas when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		return &rigged{Journal: disk, onSchemas: func(context.Context) ([]persistence.Schema, error) { return nil, nil }}
	}},
	"brings back what was scavenged when it is opened again": {caughtBy: "scavenged events stay scavenged when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		r := &rigged{Journal: disk}
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, fillGaps(&options))
		}
		return r
	}},
	"has a new identity when it is opened again": {caughtBy: "acknowledged events are there when the journal is opened again", reopened: func(disk *memory.Journal) complete {
		return &rigged{Journal: disk, onIdentity: func() persistence.JournalID { return persistence.JournalID{1} }}
	}},
}

// withoutLast is a journal in which nobody sees the event that was the last one.
func withoutLast(disk *memory.Journal) complete {
	head, _ := disk.Head(root())
	return unseen(disk, func(recorded *persistence.Recorded) bool { return recorded.Position == head.Of(0) })
}

// unseen is a journal in which nobody sees some of the events.
func unseen(disk *memory.Journal, lost func(*persistence.Recorded) bool) complete {
	r := &rigged{Journal: disk}
	r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
		return r.pages(ctx, options, func(page *persistence.Page) { drop(page, lost) })
	}
	return r
}

var checkMutants = map[string]mutant{
	"finds fault with husks": {caughtBy: "a check finds no fault in streams that have been through everything", fault: func(r *rigged) {
		r.onCheck = func(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
			findings, err := r.Journal.Check(ctx, options)
			next := int64(0)
			for page := range r.ReadAll(ctx, persistence.ReadAllOptions{System: true}) {
				for i := range page.Events {
					if next++; page.Events[i].Position.Offset != next && options.Full {
						return append(findings, persistence.Finding{Severity: persistence.Fault, Check: "events", Text: "a position is missing", Fix: "restore"}), err
					}
				}
			}
			return findings, err
		}
	}},
	"warns and does not say what to do": {caughtBy: "a check finds no fault in streams that have been through everything", fault: func(r *rigged) {
		r.onCheck = func(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
			findings, err := r.Journal.Check(ctx, options)
			for i := range findings {
				findings[i].Fix = ""
			}
			return findings, err
		}
	}},
	"checks for a caller who has left": {caughtBy: "a check that is cancelled or comes too late is an error", fault: func(r *rigged) {
		r.onCheck = func(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
			return r.Journal.Check(context.WithoutCancel(ctx), options)
		}
	}},
}
