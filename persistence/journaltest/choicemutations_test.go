package journaltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// relisted makes a hook of what becomes of a whole listing.
func (r *rigged) relisted(fault func(options persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo) {
	r.onList = func(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
		return func(yield func(persistence.StreamInfo, error) bool) {
			var streams []persistence.StreamInfo
			for info, err := range r.Journal.List(ctx, options) {
				if err != nil {
					yield(info, err)
					return
				}
				streams = append(streams, info)
			}
			for _, info := range fault(options, streams) {
				if !yield(info, nil) {
					return
				}
			}
		}
	}
}

// asking makes a hook of what a listing is asked for.
func (r *rigged) asking(fault func(*persistence.ListOptions)) {
	r.onList = func(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
		if _, err := options.Matcher(); err == nil {
			fault(&options)
		}
		return r.Journal.List(ctx, options)
	}
}

var listMutants = map[string]mutant{
	"lists without order": {caughtBy: "streams that exist are listed by name", fault: func(r *rigged) {
		r.relisted(func(_ persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			slices.Reverse(streams)
			return streams
		})
	}},
	"lists in the order of an alphabet": {caughtBy: "names are matched by their bytes", fault: func(r *rigged) {
		r.relisted(func(_ persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			slices.SortStableFunc(streams, func(a, b persistence.StreamInfo) int {
				return cmp.Compare(strings.ToLower(string(a.Stream)), strings.ToLower(string(b.Stream)))
			})
			return streams
		})
	}},
	"lists deleted streams": {caughtBy: "streams that exist are listed by name", fault: func(r *rigged) {
		end := r.ends()
		r.relisted(func(options persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			if version := end("c-deleted"); version > 0 && options.Name == "" {
				streams = append(streams, persistence.StreamInfo{Stream: "c-deleted", Version: version})
			}
			return streams
		})
	}},
	"ignores the offset": {caughtBy: "a listing is read in pages of any size", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) { o.Offset = 0 })
	}},
	"counts the offset from the beginning": {caughtBy: "a listing is read in pages of any size", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) {
			if o.After != "" {
				o.Offset = 0
			}
		})
	}},
	"ignores the limit": {caughtBy: "a listing is read in pages of any size", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) { o.Limit = 0 })
	}},
	"lists the last name again": {caughtBy: "a listing is read in pages of any size", fault: func(r *rigged) {
		r.relisted(func(options persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			if options.After != "" && options.Limit == 0 {
				streams = append([]persistence.StreamInfo{{Stream: persistence.StreamID(options.After)}}, streams...)
			}
			return streams
		})
	}},
	"takes a prefix for a pattern": {caughtBy: "the conditions of a listing must all hold", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) {
			if strings.Contains(o.Prefix, "_") {
				o.Pattern, o.Prefix = "^"+strings.ReplaceAll(o.Prefix, "_", "."), ""
			}
		})
	}},
	"lists by the first condition alone": {caughtBy: "the conditions of a listing must all hold", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) {
			if o.Category != "" {
				o.Metadata = nil
			}
		})
	}},
	"takes a part of a category for it": {caughtBy: "the conditions of a listing must all hold", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) {
			if o.Category != "" && o.Prefix == "" {
				o.Prefix, o.Category = o.Category, ""
			}
		})
	}},
	"compares numbers as floats": {caughtBy: "numbers in the metadata of streams compare", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) {
			for key, value := range o.Metadata {
				if n, ok := value.AsInt(); ok {
					o.Metadata = persistence.Metadata{key: persistence.Float(float64(n))}
				}
			}
		})
	}},
	"tells integers from floats in a listing": {caughtBy: "numbers in the metadata of streams compare", fault: func(r *rigged) {
		r.relisted(func(options persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			return slices.DeleteFunc(streams, func(info persistence.StreamInfo) bool {
				return len(options.Metadata) > 0 && info.Metadata["n"] != options.Metadata["n"]
			})
		})
	}},
	"lists one page of many streams": {caughtBy: "a listing longer than its pages is complete", fault: func(r *rigged) {
		r.relisted(func(_ persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			return streams[:min(len(streams), 1000)]
		})
	}},
	"looks for matches in one page of many streams": {caughtBy: "a listing longer than its pages is complete", fault: func(r *rigged) {
		r.relisted(func(options persistence.ListOptions, streams []persistence.StreamInfo) []persistence.StreamInfo {
			return slices.DeleteFunc(streams, func(info persistence.StreamInfo) bool {
				return options.Pattern != "" && info.Stream > "long-1000"
			})
		})
	}},
	"lists system streams": {caughtBy: "system streams are listed on request only", fault: func(r *rigged) {
		r.asking(func(o *persistence.ListOptions) { o.System = o.System || o.Prefix != "" })
	}},
	"does not check what it lists by": {caughtBy: "options of a listing out of range are invalid", fault: func(r *rigged) {
		r.onList = func(ctx context.Context, options persistence.ListOptions) iter.Seq2[persistence.StreamInfo, error] {
			if _, err := options.Matcher(); err != nil {
				return func(func(persistence.StreamInfo, error) bool) {}
			}
			return r.Journal.List(ctx, options)
		}
	}},
	"lists categories in the order of their streams": {caughtBy: "categories of streams that exist are listed once", fault: func(r *rigged) {
		r.recategorised(func(streams []persistence.StreamInfo, categories []string) []string {
			var order []string
			for _, info := range streams {
				if category := info.Stream.Category(); slices.Contains(categories, category) && !slices.Contains(order, category) {
					order = append(order, category)
				}
			}
			return order
		})
	}},
	"lists a category for each of its streams": {caughtBy: "categories of streams that exist are listed once", fault: func(r *rigged) {
		r.recategorised(func(streams []persistence.StreamInfo, categories []string) []string {
			var each []string
			for _, info := range streams {
				if category := info.Stream.Category(); slices.Contains(categories, category) {
					each = append(each, category)
				}
			}
			slices.Sort(each)
			return each
		})
	}},
	"lists no category for names without one": {caughtBy: "categories of streams that exist are listed once", fault: func(r *rigged) {
		r.recategorised(func(_ []persistence.StreamInfo, categories []string) []string {
			return append([]string{""}, categories...)
		})
	}},
}

func (r *rigged) recategorised(fault func(streams []persistence.StreamInfo, categories []string) []string) {
	r.onCategories = func(ctx context.Context, options persistence.ListOptions) iter.Seq2[string, error] {
		return func(yield func(string, error) bool) {
			var streams []persistence.StreamInfo
			for info := range r.Journal.List(ctx, persistence.ListOptions{System: true}) {
				streams = append(streams, info)
			}
			var categories []string
			for category, err := range r.Journal.Categories(ctx, options) {
				if err != nil {
					yield("", err)
					return
				}
				categories = append(categories, category)
			}
			for _, category := range fault(streams, categories) {
				if !yield(category, nil) {
					return
				}
			}
		}
	}
}

// prefiltered makes a hook of how a filter is evaluated over the sequence.
func (r *rigged) prefiltered(match func(filter.Filter, *persistence.Recorded) bool) {
	r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
		if f, ok := options.Filter.(filter.Filter); ok {
			options.Filter = where(func(recorded *persistence.Recorded) bool { return match(f, recorded) })
		}
		return r.Journal.ReadAll(ctx, options)
	}
}

var filterMutants = map[string]mutant{
	"counts against the limit what a filter leaves out": {caughtBy: "a filter chooses among the events of a stream", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			match := options.Filter
			options.Filter = nil
			return func(yield func(persistence.Recorded, error) bool) {
				for recorded, err := range r.Journal.Read(ctx, stream, options) {
					if (err != nil || match == nil || match.Match(&recorded)) && !yield(recorded, err) {
						return
					}
				}
			}
		}
	}},
	"ignores the filter of a backward reading": {caughtBy: "a filter chooses among the events of the sequence", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if options.Backward {
				options.Filter = nil
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"goes on from the last event that a filter chose": {caughtBy: "a filter never moves the place at which a reader continues", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			at := options.After
			return r.pages(ctx, options, func(page *persistence.Page) {
				for _, recorded := range page.Events {
					at = at.With(recorded.Position)
				}
				if options.Filter != nil && !options.Backward {
					page.Next = at.With(at.Of(0))
				}
			})
		}
	}},
	"asks a filter about everything for one page": {caughtBy: "a filter that chooses nothing still gives pages", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			options.PageRows = persistence.MaxPageRows
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"asks a filter about half of an event": {caughtBy: "a filter is asked about events as they are stored", fault: func(r *rigged) {
		r.onRead = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
			if match := options.Filter; match != nil {
				options.Filter = where(func(recorded *persistence.Recorded) bool {
					half := *recorded
					half.Tags = nil
					return match.Match(&half)
				})
			}
			return r.Journal.Read(ctx, stream, options)
		}
	}},
	"trusts what a filter needs for what it chooses": {caughtBy: "a journal chooses the events that the filter itself chooses", fault: func(r *rigged) {
		r.prefiltered(func(f filter.Filter, recorded *persistence.Recorded) bool { return f.Necessary().Holds(recorded) })
	}},
	"looks for numbers in the form that they are asked in": {caughtBy: "numbers in a filter are compared as numbers", fault: func(r *rigged) {
		r.prefiltered(func(f filter.Filter, recorded *persistence.Recorded) bool {
			for key, values := range f.Necessary().Metadata {
				if recorded.Metadata[key] != values[0] {
					return false
				}
			}
			return f.Match(recorded)
		})
	}},
	"looks for text whatever its case": {caughtBy: "text in a filter is compared as text", fault: func(r *rigged) {
		r.prefiltered(func(f filter.Filter, recorded *persistence.Recorded) bool {
			folded := *recorded
			folded.Tags = nil
			for _, tag := range recorded.Tags {
				folded.Tags = append(folded.Tags, strings.ToLower(tag))
			}
			return f.Match(&folded)
		})
	}},
	"does not check filters": {caughtBy: "a filter that is invalid is refused", fault: func(r *rigged) {
		r.onCount = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
			if options.Filter != nil && options.Filter.Check() != nil {
				options.Filter = where(func(*persistence.Recorded) bool { return false })
			}
			return r.Journal.Count(ctx, stream, options)
		}
	}},
	"counts without the filter": {caughtBy: "count is the number of events that are read", fault: func(r *rigged) {
		r.onCount = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
			options.Filter = nil
			return r.Journal.Count(ctx, stream, options)
		}
	}},
	"counts without the limit": {caughtBy: "count is the number of events that are read", fault: func(r *rigged) {
		r.onCount = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
			options.Limit = min(options.Limit, 0)
			return r.Journal.Count(ctx, stream, options)
		}
	}},
	"counts what was truncated": {caughtBy: "count is the number of events that are read", fault: func(r *rigged) {
		r.onCount = func(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) (int, error) {
			if events := r.everything(ctx, stream); options.From == 0 && options.Limit == 0 && options.Filter == nil && len(events) > 0 {
				return len(events), nil
			}
			return r.Journal.Count(ctx, stream, options)
		}
	}},
}

var backwardMutants = map[string]mutant{
	"reads the sequence backward with the event at the given place": {caughtBy: "a backward reader begins before the given place", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if at := options.After.Of(0); options.Backward && at.Offset > 0 && at.Offset < 1000 {
				at.Offset++
				options.After = options.After.With(at)
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"reads the sequence backward from one before the head": {caughtBy: "the global sequence is read backward in pages of any size", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if options.Backward && options.After == nil {
				options.After, _ = r.Head(ctx)
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"takes the beginning for the head": {caughtBy: "a backward reader ends at the beginning", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if options.Backward && len(options.After) > 0 && options.After[0] == 0 {
				options.After = nil
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"has backward pages without bound": {caughtBy: "a backward page is limited by its bytes", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if options.Backward {
				options.PageBytes = 0
			}
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"shows system streams to a backward reader": {caughtBy: "a backward reader skips hidden streams", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			options.System = options.System || options.Backward
			return r.Journal.ReadAll(ctx, options)
		}
	}},
	"begins at the head again for each backward page": {caughtBy: "a backward reader is not disturbed by appends", fault: func(r *rigged) {
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			if !options.Backward {
				return r.Journal.ReadAll(ctx, options)
			}
			return func(yield func(persistence.Page, error) bool) {
				for seen := int64(0); ; { // an offset instead of a place
					head, err := r.Head(ctx)
					options.After = persistence.Positions{head.Of(0).Offset + 1 - seen}
					page := persistence.Page{}
					if err == nil {
						page, err = firstPage(ctx, r.Journal, options)
					}
					seen += int64(len(page.Events))
					if !yield(page, err) || err != nil || page.AtHead {
						return
					}
				}
			}
		}
	}},
}

// loose is a transaction that is none: it appends at once.
type loose struct {
	ctx context.Context // of Transact
	r   *rigged
}

func (l loose) Append(appends ...persistence.Append) ([]persistence.Outcome, error) {
	outcomes, err := l.r.Journal.Append(l.ctx, appends...)
	for i := range outcomes {
		err = cmp.Or(err, outcomes[i].Err)
	}
	return outcomes, err
}

func (l loose) Read(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
	return collect(l.r.Journal.Read(l.ctx, stream, options))
}

var transactionMutants = map[string]mutant{
	"shows a transaction before its commit": {caughtBy: "nothing of a transaction is seen before its commit", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error { return do(ctx, loose{ctx, r}) }
	}},
	"lets others write inside of a transaction": {caughtBy: "writers wait for a transaction and continue after it", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error { return do(ctx, loose{ctx, r}) }
	}},
	"keeps the first appends of a transaction only": {caughtBy: "a transaction stores all its appends", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			calls := 0
			tx.onAppend = func(appends []persistence.Append) ([]persistence.Outcome, error) {
				if calls++; calls == 1 {
					return tx.Transaction.Append(appends...)
				}
				outcomes := make([]persistence.Outcome, len(appends))
				return outcomes, nil
			}
		})
	}},
	"stores the halves of a transaction apart": {caughtBy: "transactions of many writers are stored whole", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			return r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
				return do(ctx, &riggedTransaction{Transaction: tx, onAppend: func(appends []persistence.Append) ([]persistence.Outcome, error) {
					outcomes, err := tx.Append(appends...)
					if err == nil {
						_, err = tx.Append(to("between", persistence.Any, persistence.Event{Type: "between"}))
					}
					return outcomes, err
				}})
			})
		}
	}},
	"stores the half of a transaction while it closes": {caughtBy: "closing during transactions stores each of them whole or not at all", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			err := r.Journal.Transact(ctx, do)
			if errors.Is(err, persistence.ErrUnavailable) {
				return errors.New("conn closed")
			}
			return err
		}
	}},
	"creates streams whose callers have left": {caughtBy: "no caller waits for a transaction beyond its own deadline", fault: func(r *rigged) {
		r.onCreate = func(_ context.Context, stream persistence.StreamID, metadata persistence.Metadata) error {
			return r.Journal.Create(root(), stream, metadata)
		}
	}},
	"checks nothing in appends that are empty in a transaction": {caughtBy: "a transaction without appends commits", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			tx.onAppend = func(appends []persistence.Append) ([]persistence.Outcome, error) {
				for i := range appends {
					if len(appends[i].Events) == 0 {
						appends[i].Expected = persistence.Any
					}
				}
				return tx.Transaction.Append(appends...)
			}
		})
	}},
	"holds up readers for a transaction": {caughtBy: "nothing of a transaction is seen before its commit", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.Journal.Transact(ctx, do)
		}
		r.onStream = func(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
			if !r.mu.TryRLock() {
				<-ctx.Done()
				return persistence.StreamInfo{}, &persistence.UnavailableError{Reason: "the caller left"}
			}
			defer r.mu.RUnlock()
			return r.Journal.Stream(ctx, stream)
		}
	}},
	"commits what a body has given up": {caughtBy: "an error of a transaction's body comes back and nothing is stored", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			var failure error
			err := r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
				failure = do(ctx, tx)
				return nil
			})
			return cmp.Or(failure, err)
		}
	}},
	"wraps the error of a body": {caughtBy: "an error of a transaction's body comes back and nothing is stored", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			if err := r.Journal.Transact(ctx, do); err != nil {
				return fmt.Errorf("roll back: %w", err)
			}
			return nil
		}
	}},
	"commits what a body stored before it panicked": {caughtBy: "a transaction whose body panics stores nothing", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			var reason any
			err := r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
				defer func() { reason = recover() }()
				return do(ctx, tx)
			})
			if reason != nil {
				panic(reason)
			}
			return err
		}
	}},
	"overlooks a poison": {caughtBy: "the first append that fails poisons a transaction", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			var failure error
			err := r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
				failure = do(ctx, tx)
				return failure
			})
			if failure == nil && persistence.ErrorKindOf(err) != persistence.ErrUnavailable {
				return nil
			}
			return err
		}
	}},
	"commits the half of a poisoned transaction": {caughtBy: "the first append that fails poisons a transaction", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			var stored []persistence.Append
			err := r.Journal.Transact(ctx, func(ctx context.Context, tx persistence.Transaction) error {
				return do(ctx, &riggedTransaction{Transaction: tx, onAppend: func(appends []persistence.Append) ([]persistence.Outcome, error) {
					outcomes, err := tx.Append(appends...)
					if err == nil {
						stored = append(stored, appends...)
					}
					return outcomes, err
				}})
			})
			if err != nil {
				_, _ = r.Journal.Append(ctx, stored...)
			}
			return err
		}
	}},
	"is poisoned by a reading": {caughtBy: "reading a missing stream does not poison a transaction", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			var poison error
			tx.onRead = func(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
				events, err := tx.Transaction.Read(stream, options)
				poison = cmp.Or(poison, err)
				return events, err
			}
			tx.onAppend = func(appends []persistence.Append) ([]persistence.Outcome, error) {
				if poison != nil {
					return nil, poison
				}
				return tx.Transaction.Append(appends...)
			}
		})
	}},
	"does not see its own appends in a transaction": {caughtBy: "a transaction sees its own appends", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			tx.onRead = func(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
				return collect(r.Journal.Read(root(), stream, options))
			}
		})
	}},
	"forgets the ids of a transaction": {caughtBy: "ids are idempotent in a transaction", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			tx.onAppend = func(appends []persistence.Append) ([]persistence.Outcome, error) {
				for i := range appends {
					appends[i].Events = unnamed(appends[i].Events)
				}
				return tx.Transaction.Append(appends...)
			}
		})
	}},
	"ignores the expected version in a transaction": {caughtBy: "the expected version decides in a transaction", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			tx.onAppend = func(appends []persistence.Append) ([]persistence.Outcome, error) {
				for i := range appends {
					appends[i].Expected = persistence.Any
				}
				return tx.Transaction.Append(appends...)
			}
		})
	}},
	"leaves a gap where it rolls back": {caughtBy: "a rolled back transaction leaves no gap", fault: func(r *rigged) {
		const waste = "waste"
		r.onTransact = func(ctx context.Context, do body) error {
			err := r.Journal.Transact(ctx, do)
			if err != nil {
				_, _ = r.honest(ctx, persistence.Append{Stream: waste, Expected: persistence.Any, Events: []persistence.Event{{Type: waste}}})
			}
			return err
		}
		r.onReadAll = func(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
			return r.pages(ctx, options, func(page *persistence.Page) {
				drop(page, func(e *persistence.Recorded) bool { return e.Stream == waste })
			})
		}
	}},
	"serves a transaction that has ended": {caughtBy: "a transaction that has ended refuses every call", fault: func(r *rigged) {
		r.transactions(func(tx *riggedTransaction) {
			tx.onRead = func(stream persistence.StreamID, options persistence.ReadOptions) ([]persistence.Recorded, error) {
				events, err := tx.Transaction.Read(stream, options)
				if errors.Is(err, persistence.ErrInvalid) {
					return collect(r.Journal.Read(root(), stream, options))
				}
				return events, err
			}
		})
	}},
	"does it for a caller who has left": {caughtBy: "a transaction whose caller has left stores nothing", fault: func(r *rigged) {
		r.onTransact = func(ctx context.Context, do body) error {
			err := r.Journal.Transact(context.WithoutCancel(ctx), func(_ context.Context, tx persistence.Transaction) error { return do(ctx, tx) })
			return cmp.Or(err, left(ctx))
		}
	}},
	"commits a transaction without a wake": {caughtBy: "a waiting reader wakes on a transaction", fault: func(r *rigged) {
		var silent persistence.Positions
		r.onTransact = func(ctx context.Context, do body) error {
			r.mu.Lock()
			defer r.mu.Unlock()
			err := r.Journal.Transact(ctx, do)
			silent, _ = r.Head(ctx)
			return err
		}
		r.onWait = func(ctx context.Context, after persistence.Positions) error {
			for {
				if err := r.Journal.Wait(ctx, after); err != nil {
					return err
				}
				r.mu.RLock()
				newest := silent
				r.mu.RUnlock()
				if head, err := r.Head(ctx); err != nil || !samePlace(head, newest) {
					return err
				}
				after = newest
			}
		}
	}},
}

// left is what is told to a caller who has.
func left(ctx context.Context) error {
	if ctx.Err() == nil {
		return nil
	}
	return &persistence.UnavailableError{Reason: "the caller left", Err: ctx.Err()}
}

var keepingMutants = map[string]mutant{
	"lets an older snapshot win": {caughtBy: "a newer snapshot wins", fault: func(r *rigged) {
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			_ = r.DeleteSnapshot(ctx, snapshot.Stream)
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
	}},
	"keeps the first snapshot of a version": {caughtBy: "a newer snapshot wins", fault: func(r *rigged) {
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			if had, found, _ := r.Journal.LoadSnapshot(ctx, snapshot.Stream); found && had.Version == snapshot.Version {
				return nil
			}
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
	}},
	"keeps the snapshot of a deleted stream": {caughtBy: "a snapshot of a deleted stream does not return", fault: func(r *rigged) {
		saved := map[persistence.StreamID]persistence.Snapshot{}
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			if err := snapshot.Check(); err != nil {
				return err
			}
			saved[snapshot.Stream] = snapshot
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
		r.onLoadSnapshot = func(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
			snapshot, found := saved[stream]
			return snapshot, found, nil
		}
	}},
	"lets a snapshot come back that was on its way": {caughtBy: "a snapshot of a deleted stream does not return", fault: func(r *rigged) {
		late := map[persistence.StreamID]persistence.Snapshot{}
		end := r.ends()
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			if end(snapshot.Stream) > snapshot.Version {
				late[snapshot.Stream] = snapshot
			}
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
		r.onLoadSnapshot = func(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
			if snapshot, found := late[stream]; found {
				return snapshot, true, nil
			}
			return r.Journal.LoadSnapshot(ctx, stream)
		}
	}},
	"forgets the snapshots of names that begin alike": {caughtBy: "snapshots are forgotten by stream and by category", fault: func(r *rigged) {
		r.onForget = func(ctx context.Context, category string, before time.Time) (int, error) {
			for info := range r.Journal.List(ctx, persistence.ListOptions{Prefix: category, System: true}) {
				_ = r.DeleteSnapshot(ctx, info.Stream)
			}
			return r.Journal.DeleteSnapshots(ctx, category, before)
		}
	}},
	"forgets snapshots whatever their age": {caughtBy: "snapshots are forgotten by age", fault: func(r *rigged) {
		r.onForget = func(ctx context.Context, category string, _ time.Time) (int, error) {
			return r.Journal.DeleteSnapshots(ctx, category, time.Time{})
		}
	}},
	"forgets the snapshot of the very moment": {caughtBy: "snapshots are forgotten by age", fault: func(r *rigged) {
		r.onForget = func(ctx context.Context, category string, before time.Time) (int, error) {
			if !before.IsZero() {
				before = before.Add(time.Microsecond)
			}
			return r.Journal.DeleteSnapshots(ctx, category, before)
		}
	}},
	"does not count the snapshots that it forgets": {caughtBy: "snapshots are forgotten by stream and by category", fault: func(r *rigged) {
		r.onForget = func(ctx context.Context, category string, before time.Time) (int, error) {
			_, err := r.Journal.DeleteSnapshots(ctx, category, before)
			return 0, err
		}
	}},
	"cuts snapshots that are too large": {caughtBy: "a snapshot that breaks a limit is refused", fault: func(r *rigged) {
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			snapshot.State = snapshot.State[:min(len(snapshot.State), persistence.MaxSnapshot)]
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
	}},
	"takes fingerprints for text": {caughtBy: "a snapshot comes back as it was saved", fault: func(r *rigged) {
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			if len(snapshot.Fingerprint) <= persistence.MaxFingerprint {
				snapshot.Fingerprint = strings.ToValidUTF8(snapshot.Fingerprint, "?")
			}
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
	}},
	"loads a snapshot that was damaged": {caughtBy: "a damaged snapshot is no snapshot", fault: func(r *rigged) {
		r.onLoadSnapshot = func(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
			snapshot, found, err := r.Journal.LoadSnapshot(ctx, stream)
			if r.damaged[stream] {
				snapshot.State[7] ^= 1
			}
			return snapshot, found, err
		}
	}},
	"keeps the slices of who saves a snapshot": {caughtBy: "snapshots that a journal takes and returns belong to the caller", fault: func(r *rigged) {
		var given persistence.Snapshot
		r.onSaveSnapshot = func(ctx context.Context, snapshot persistence.Snapshot) error {
			given = snapshot
			return r.Journal.SaveSnapshot(ctx, snapshot)
		}
		r.onLoadSnapshot = func(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
			snapshot, found, err := r.Journal.LoadSnapshot(ctx, stream)
			snapshot.State = given.State
			return snapshot, found, err
		}
	}},
	"hands out the slices of its schemas": {caughtBy: "schemas that a journal takes and returns belong to the caller", fault: func(r *rigged) {
		var known []persistence.Schema
		r.onSchemas = func(ctx context.Context) (schemas []persistence.Schema, err error) {
			if known == nil {
				known, err = r.Journal.Schemas(ctx)
			}
			return known, err
		}
	}},
	"looks for a schema before it registers it and not while": {caughtBy: "many callers that register one schema get one id", fault: func(r *rigged) {
		ids := map[string]persistence.SchemaID{}
		r.onRegister = func(ctx context.Context, encoding persistence.Encoding, content []byte) (persistence.SchemaID, error) {
			r.mu.RLock()
			id, known := ids[string(content)]
			r.mu.RUnlock()
			if known {
				return id, nil
			}
			r.meet()
			r.mu.Lock()
			defer r.mu.Unlock()
			id, err := r.Journal.RegisterSchema(ctx, encoding, fmt.Appendf(content, " %d", len(ids)))
			ids[string(content)] = id
			ids[fmt.Sprint(len(ids))] = id
			return id, err
		}
	}},
	"gives a schema an id for each time it is registered": {caughtBy: "a schema is known by its content", fault: func(r *rigged) {
		next := persistence.SchemaID(0)
		r.onRegister = func(context.Context, persistence.Encoding, []byte) (persistence.SchemaID, error) {
			next++
			return next, nil
		}
	}},
	"takes a schema for the same in another encoding": {caughtBy: "a schema is known by its content", fault: func(r *rigged) {
		known := map[string]persistence.SchemaID{}
		r.onRegister = func(ctx context.Context, encoding persistence.Encoding, content []byte) (id persistence.SchemaID, err error) {
			if known[string(content)] == 0 {
				known[string(content)], err = r.Journal.RegisterSchema(ctx, encoding, content)
			}
			return known[string(content)], err
		}
	}},
	"takes schemas for text": {caughtBy: "a schema is known by its content", fault: func(r *rigged) {
		r.onRegister = func(ctx context.Context, encoding persistence.Encoding, content []byte) (persistence.SchemaID, error) {
			return r.Journal.RegisterSchema(ctx, encoding, []byte(strings.TrimSpace(string(content))))
		}
	}},
	"lists schemas without order": {caughtBy: "schemas are listed by id", fault: func(r *rigged) {
		r.onSchemas = func(ctx context.Context) ([]persistence.Schema, error) {
			schemas, err := r.Journal.Schemas(ctx)
			slices.Reverse(schemas)
			return schemas, err
		}
	}},
	"has no limit for schemas": {caughtBy: "a schema that breaks a limit is refused", fault: func(r *rigged) {
		r.onRegister = func(ctx context.Context, encoding persistence.Encoding, content []byte) (persistence.SchemaID, error) {
			if len(content) > persistence.MaxSchema {
				return 1, nil
			}
			return r.Journal.RegisterSchema(ctx, encoding, content)
		}
	}},
	"counts no events without a schema": {caughtBy: "events are counted by category, type and schema", fault: func(r *rigged) {
		r.onUses = func(uses []persistence.Use) []persistence.Use {
			return slices.DeleteFunc(uses, func(use persistence.Use) bool { return use.Schema == 0 })
		}
	}},
	"counts no events of streams without a category": {caughtBy: "events are counted by category, type and schema", fault: func(r *rigged) {
		r.onUses = func(uses []persistence.Use) []persistence.Use {
			return slices.DeleteFunc(uses, func(use persistence.Use) bool { return use.Category == "" })
		}
	}},
	"counts one event of each sort": {caughtBy: "events are counted by category, type and schema", fault: func(r *rigged) {
		r.onUses = func(uses []persistence.Use) []persistence.Use {
			for i := range uses {
				uses[i].Events = 1
			}
			return uses
		}
	}},
	"counts events without order": {caughtBy: "events are counted by category, type and schema", fault: func(r *rigged) {
		r.onUses = func(uses []persistence.Use) []persistence.Use {
			slices.Reverse(uses)
			return uses
		}
	}},
	"has a metadata map for all": {caughtBy: "metadata of a stream belongs to the caller", fault: func(r *rigged) {
		known := map[persistence.StreamID]persistence.Metadata{}
		r.onStream = func(ctx context.Context, stream persistence.StreamID) (persistence.StreamInfo, error) {
			info, err := r.Journal.Stream(ctx, stream)
			if known[stream] == nil {
				known[stream] = maps.Clone(info.Metadata)
			}
			info.Metadata = known[stream]
			return info, err
		}
	}},
}
