package transfer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// RetainOptions say which events may go. An event goes when Before, OlderThan and Keep
// allow it, as far as they are set, and nothing holds it. The newest event of a stream
// always stays.
type RetainOptions struct {
	// Choice says which streams are meant; it must choose some.
	Choice
	// Metadata are keys and values that the metadata of the streams must have too.
	Metadata persistence.Metadata
	// Before is the time before which an event must have been stored, for a day that is
	// known; for an age set OlderThan. The zero time sets no such bound.
	Before time.Time
	// OlderThan is for how long an event must have been stored. No single reading of a
	// clock decides: age is counted up to what the clock of this machine says now, or up
	// to the earliest time among the newest 32 events of the journal when that is before.
	// So a clock that is ahead for a moment lets nothing go, and a journal to which nobody
	// writes loses nothing by growing old. 0 sets no such bound.
	OlderThan time.Duration
	// Keep is the number of the newest events of each stream that stay. 0 sets no such bound.
	// One of Before, OlderThan and Keep must be set.
	Keep int
	// Floors are the places, by whose they are, up to which events were used: the
	// checkpoints of projections and subscriptions. Events behind any of them stay.
	Floors map[string]persistence.Positions
	// Fingerprints are those of the states of aggregates, by their kind. A stream of
	// such a kind keeps the events from its newest snapshot on that has the fingerprint
	// and was made from the events that are there: recovery reads no others. Without
	// such a snapshot it keeps all.
	Fingerprints map[string]string
	// Unfolded lets events of streams of all other kinds go, of which the caller knows
	// that no state is made from their beginning. Otherwise they keep all.
	Unfolded bool
	// Archive gets the events before they are truncated, as a file that [Import]
	// reads; the ids that writers chose are not marked in it. It is flushed, by its
	// methods Flush and Sync as far as it has them, before anything is truncated. Nil
	// archives nothing.
	Archive io.Writer
	// Format is that of the archive.
	Format Format
	// Scavenge empties what is truncated; see [persistence.Scavenger].
	Scavenge bool
	// DryRun changes nothing and archives nothing.
	DryRun bool
}

// Cut is the change of one stream, planned or done.
type Cut struct {
	// Stream is its name.
	Stream persistence.StreamID
	// First is the first version that could be read, Before the first that can be
	// read afterwards. They are equal when nothing goes.
	First, Before persistence.Version
	// Held names the reasons that keep events which are old enough: the name of a floor, "snapshot",
	// or "" when nothing does.
	Held string
}

// Events is the number of events that go.
func (c *Cut) Events() int64 { return int64(c.Before - c.First) }

// Plan lists the changes that [Retain] makes, or would make.
type Plan struct {
	// Cuts are the streams that lose events or would if nothing held them, by name.
	Cuts []Cut
	// Events is the number that go in all.
	Events int64
	// Emptied is the number of events that were scavenged.
	Emptied int64
}

// Retain truncates streams by age and number, but nothing that is still needed. It
// goes stream by stream: what goes from some is archived and flushed before it is
// truncated there, so whenever it ends early, everything is in the journal or in
// the archive, and some may be in both. It can be repeated; an archive that is
// imported passes over what it has twice.
//
// The plan says what was done when there is an error too. A stream that somebody
// deletes or truncates meanwhile is left alone.
func Retain(ctx context.Context, journal persistence.Journal, options RetainOptions) (Plan, error) {
	r, err := newRetention(ctx, journal, &options)
	if err != nil {
		return Plan{}, err
	}
	err = r.run(ctx)
	return r.plan, err
}

type retention struct {
	journal   persistence.Journal
	options   *RetainOptions
	before    time.Time             // of the options, with their age; zero is no bound
	snapshots persistence.Snapshots // nil when it keeps none
	scavenger persistence.Scavenger
	archive   *writer // nil when nothing is archived
	plan      Plan
	waiting   []Cut // planned, and not done
	events    int64 // of these
}

// atOnce is the number of events that are archived before some are truncated.
const atOnce = 10_000

func newRetention(ctx context.Context, journal persistence.Journal, options *RetainOptions) (*retention, error) {
	r := &retention{journal: journal, options: options}
	if err := options.check(); err != nil {
		return nil, err
	}
	able := true
	r.snapshots, _ = persistence.As[persistence.Snapshots](journal)
	if options.Scavenge {
		r.scavenger, able = persistence.As[persistence.Scavenger](journal)
	}
	switch {
	case options.all():
		return nil, invalid("choice", "is empty: say which streams are meant")
	case options.Before.IsZero() && options.OlderThan == 0 && options.Keep == 0:
		return nil, invalid("before", "and older than and keep are not set: nothing says which events may go")
	case options.OlderThan < 0:
		return nil, invalid("older than", "is negative")
	case options.Keep < 0:
		return nil, invalid("keep", "is negative")
	case options.Format > CloudEvents:
		return nil, invalid("format", "is not known")
	case !able:
		return nil, invalid("scavenge", "is not what the journal can do")
	}
	if err := r.bound(ctx); err != nil {
		return nil, err
	}
	if options.Archive != nil && !options.DryRun {
		described, err := describedBy(ctx, journal)
		if err != nil {
			return nil, err
		}
		r.archive = newWriter(options.Archive, options.Format, journal.Identity(), described)
	}
	return r, nil
}

// telling is how many events tell together what time it is.
const telling = 32

// bound turns an age into a time.
func (r *retention) bound(ctx context.Context) error {
	r.before = r.options.Before
	if r.options.OlderThan == 0 {
		return nil
	}
	now, left := time.Now(), telling
	for page, err := range r.journal.ReadAll(ctx, persistence.ReadAllOptions{Backward: true, PageRows: telling, System: true}) {
		if err != nil {
			return fmt.Errorf("look what time it is in the journal: %w", err)
		}
		for i := range page.Events[:min(left, len(page.Events))] {
			if at := page.Events[i].At; at.Before(now) {
				now = at
			}
		}
		if left -= len(page.Events); left <= 0 {
			break
		}
	}
	if before := now.Add(-r.options.OlderThan); r.before.IsZero() || before.Before(r.before) {
		r.before = before
	}
	return nil
}

func (r *retention) run(ctx context.Context) error {
	options := listed(&r.options.Choice)
	options.Deleted, options.Metadata = false, r.options.Metadata
	for info, err := range r.journal.List(ctx, options) {
		if err != nil {
			return err
		}
		if !r.options.has(info.Stream) {
			continue
		}
		cut, err := r.cut(ctx, &info)
		if gone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look what may go from %s: %w", info.Stream, err)
		}
		if cut.Before == cut.First && cut.Held == "" {
			continue
		}
		r.waiting = append(r.waiting, cut)
		if r.events += cut.Events(); r.events >= atOnce {
			if err := r.do(ctx); err != nil {
				return err
			}
		}
	}
	if err := r.do(ctx); err != nil {
		return err
	}
	if r.archive == nil || r.archive.lines == 0 {
		return nil
	}
	if err := r.archive.finish(); err != nil {
		return fmt.Errorf("end the archive: %w", err)
	}
	return r.flush()
}

// gone reports that somebody has deleted or truncated the stream.
func gone(err error) bool {
	return errors.Is(err, persistence.ErrStreamNotFound) || errors.Is(err, persistence.ErrTruncated)
}

// cut decides about one stream.
func (r *retention) cut(ctx context.Context, info *persistence.StreamInfo) (Cut, error) {
	cut := Cut{Stream: info.Stream, First: info.First, Before: info.First}
	last := info.Version // it always stays
	if r.options.Keep > 0 {
		last = info.Version - min(info.Version, persistence.Version(r.options.Keep-1))
	}
	if info.Version < info.First || last <= info.First {
		return cut, nil
	}
	held, err := r.recoverable(ctx, info)
	if err != nil {
		return cut, err
	}
	for recorded, err := range r.journal.Read(ctx, info.Stream, persistence.ReadOptions{From: info.First}) {
		if err != nil {
			return cut, err
		}
		if recorded.Version >= last || !r.before.IsZero() && !recorded.At.Before(r.before) {
			break
		}
		if cut.Held = r.holder(&recorded, held); cut.Held != "" {
			break
		}
		cut.Before = recorded.Version + 1
	}
	return cut, nil
}

// holder is the reason that keeps an event, "" when there is none.
func (r *retention) holder(recorded *persistence.Recorded, recoverable persistence.Version) string {
	if recorded.Version >= recoverable {
		return "snapshot"
	}
	for _, name := range slices.Sorted(maps.Keys(r.options.Floors)) {
		if !r.options.Floors[name].Covers(recorded.Position) {
			return name
		}
	}
	return ""
}

// recoverable is the first version that recovery needs. It compares the snapshot
// with the event that it was made at, so that one must stay as well.
func (r *retention) recoverable(ctx context.Context, info *persistence.StreamInfo) (persistence.Version, error) {
	fingerprint, folded := r.options.Fingerprints[info.Stream.Category()]
	switch {
	case !folded && r.options.Unfolded:
		return persistence.MaxVersion, nil
	case !folded || r.snapshots == nil:
		return info.First, nil
	}
	snapshot, found, err := r.snapshots.LoadSnapshot(ctx, info.Stream)
	if err != nil || !found || snapshot.Fingerprint != fingerprint || snapshot.Version < info.First || snapshot.Version > info.Version {
		return info.First, err
	}
	for recorded, err := range r.journal.Read(ctx, info.Stream, persistence.ReadOptions{From: snapshot.Version, Limit: 1}) {
		if err != nil {
			return info.First, err
		}
		if recorded.ID == snapshot.EventID {
			return snapshot.Version, nil
		}
	}
	return info.First, nil
}

// do archives what waits, and then truncates it.
func (r *retention) do(ctx context.Context) error {
	waiting := r.waiting
	r.waiting, r.events = nil, 0
	if r.options.DryRun {
		for i := range waiting {
			r.done(waiting[i])
		}
		return nil
	}
	if err := r.keep(ctx, waiting); err != nil {
		return err
	}
	for _, cut := range waiting {
		if cut.Events() > 0 {
			if err := r.truncate(ctx, &cut); err != nil {
				return err
			}
		}
		r.done(cut)
	}
	return nil
}

func (r *retention) done(cut Cut) {
	r.plan.Cuts = append(r.plan.Cuts, cut)
	r.plan.Events += cut.Events()
}

func (r *retention) truncate(ctx context.Context, cut *Cut) error {
	_, err := r.journal.Truncate(ctx, cut.Stream, cut.Before)
	if gone(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("truncate %s: %w", cut.Stream, err)
	}
	if r.scavenger == nil {
		return nil
	}
	emptied, err := r.scavenger.Scavenge(ctx, cut.Stream)
	r.plan.Emptied += int64(emptied)
	if err != nil {
		return fmt.Errorf("scavenge %s: %w", cut.Stream, err)
	}
	return nil
}

// keep writes what goes to the archive and returns when it is safe there.
func (r *retention) keep(ctx context.Context, cuts []Cut) error {
	if r.archive == nil || !slices.ContainsFunc(cuts, func(c Cut) bool { return c.Events() > 0 }) {
		return nil
	}
	if r.archive.lines == 0 {
		r.archive.header(&header{journal: r.journal.Identity(), archive: true})
	}
	for i := range cuts {
		err := r.keepStream(ctx, &cuts[i])
		if gone(err) {
			// An event that is not in the archive as a whole is not truncated.
			cuts[i].Before, err = cuts[i].First, nil
		}
		if err != nil {
			return fmt.Errorf("archive %s: %w", cuts[i].Stream, err)
		}
	}
	if err := r.archive.flush(nil); err != nil {
		return fmt.Errorf("write the archive: %w", err)
	}
	return r.flush()
}

func (r *retention) keepStream(ctx context.Context, cut *Cut) error {
	if cut.Events() == 0 {
		return nil
	}
	options := persistence.ReadOptions{From: cut.First, Limit: int(cut.Events())}
	for recorded, err := range r.journal.Read(ctx, cut.Stream, options) {
		if err != nil {
			return err
		}
		if err := r.archive.event(ctx, &recorded); err != nil {
			return err
		}
	}
	return nil
}

// flush makes the archive safe, as far as it can be.
func (r *retention) flush() error {
	if buffered, ok := r.options.Archive.(interface{ Flush() error }); ok {
		if err := buffered.Flush(); err != nil {
			return fmt.Errorf("flush the archive: %w", err)
		}
	}
	if file, ok := r.options.Archive.(interface{ Sync() error }); ok {
		if err := file.Sync(); err != nil {
			return fmt.Errorf("flush the archive: %w", err)
		}
	}
	return nil
}
