package appending

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// flight is a group of statements that are sent together and are one transaction in the
// server. It has one answer, which says of each append whether it was stored or refused.
type flight struct {
	calls []call
	batch *appender.Batch // the batch that it is; nil when it goes on with another flight
	order int             // the number of the batch that it began with
	link  *link           // the link that it was sent on, nil while it waits
	epoch uint64          // the epoch of the ids of its streams
	slot  bool            // it gives a slot back at its end
	// follows says that it has appends that were decided on others which are not settled
	// yet. before proves those if they were sent just before it; otherwise the flight waits
	// until it is the first.
	follows bool
	before  proof
	// flush says that the log is flushed behind it, before it is answered. early says that
	// its own commit then need not wait for the flush.
	flush, early bool
	// deadline is the time to give up finding out whether it was stored. It is zero while
	// it has certainly not been stored.
	deadline time.Time
	// retried says that a session which was of no more use has refused it.
	retried bool
	// fenced says that no earlier attempt to store it can succeed any more.
	fenced bool
	// newest is the highest position that the flight's appends got.
	newest int64
}

// call is one statement and the appends that it is about. Only opLean and opExact have more
// than one.
type call struct {
	op    op
	works []*work
}

type op int

const (
	opSingle  op = iota // store one event that expects an exact version
	opLean              // store appends that expect an exact version, all or none
	opExact             // store appends that expect an exact version, each for itself
	opChecked           // store an append with any expectation
	opAttempt           // find out whether an append stands at the version that it expected
	opSearch            // find out whether an append that named no version was stored
	opHead              // ask for the version of a stream
)

// work is one append on its way from statement to statement.
type work struct {
	batch  *appender.Batch
	index  int
	item   *appender.Item
	stream *streamids.Stream
	// proven says that the server need not look for the event before the append.
	proven bool
	// floor is a position before which the append cannot stand.
	floor int64
	// below is the version below which opSearch goes on.
	below int64
	// refused is the definite error of a later attempt, which says nothing about the first
	// one.
	refused error
}

// prepare turns a batch into a flight. It looks up the ids of the streams while the server
// works on the batch before.
func (c *Committer) prepare(b *appender.Batch) (*flight, error) {
	c.batches++
	f := &flight{batch: b, order: c.batches, slot: true}
	group := c.exactOp()
	works := make([]work, len(b.Items))
	ordered := make([]*work, len(b.Items))
	floor := c.host.Known()
	grouped := 0 // how many of the works just before share a call
	for i := range b.Items {
		w := &works[i]
		*w = work{batch: b, index: i, item: &b.Items[i], floor: floor}
		ordered[i] = w
		op := w.first(group)
		f.follows = f.follows || w.item.Follows != nil
		// The append that came first gets the lower position, so only neighbours share a call.
		if op == group && grouped > 0 {
			f.calls[len(f.calls)-1].works = ordered[i-grouped : i+1]
		} else {
			f.calls = append(f.calls, call{op, ordered[i : i+1]})
		}
		if grouped++; op != group {
			grouped = 0
		}
	}
	if f.single() && !c.skipSingle.Swap(false) && !c.early.Load() {
		f.calls[0].op = opSingle
	}
	ctx, cancel := context.WithTimeout(context.Background(), c.config.StatementTimeout) //nolint:forbidigo // a batch has no one caller
	defer cancel()
	return f, f.resolve(ctx, c)
}

// first returns the statement that an append begins with. group is the statement for
// appends that expect an exact version.
func (w *work) first(group op) op {
	_, exact := w.item.Expected.Version()
	switch {
	case len(w.item.Events) == 0:
		return opHead
	case exact && !w.item.Named:
		return group
	}
	return opChecked
}

// resolve looks up the ids of the flight's streams.
func (f *flight) resolve(ctx context.Context, c *Committer) error {
	var works []*work
	var names []persistence.StreamID
	for i := range f.calls {
		for _, w := range f.calls[i].works {
			if len(w.item.Events) > 0 { // an empty append must not make a stream
				works = append(works, w)
				names = append(names, w.item.Stream)
			}
		}
	}
	streams, missing, epoch := c.config.Streams.ByName(names)
	if len(missing) > 0 {
		var err error
		if streams, epoch, err = c.host.Resolve(ctx, slices.Clone(names)); err != nil { // names stays on the stack
			return err
		}
	}
	f.epoch = epoch
	for i, w := range works {
		w.stream = streams[i]
		w.proven = w.item.Follows != nil || int64(w.item.Expected) <= w.stream.Stored.Load()
	}
	return nil
}

func (f *flight) mayBeStored() bool { return !f.deadline.IsZero() }

// unsend lets a flight wait again.
func (f *flight) unsend() {
	f.link = nil
	for i := range f.calls {
		f.calls[i].op = f.calls[i].op.alone()
	}
}

// noteUnanswered notes that the flight was sent and gets no answer. Appends that may have
// been stored are looked for before they are stored again, unless the repeated statement
// finds them by itself. It returns the number of events that may have been stored.
func (f *flight) noteUnanswered(limit time.Duration) (events int) {
	f.unsend()
	for i := range f.calls {
		c := &f.calls[i]
		if c.op != opExact && c.op != opChecked {
			continue
		}
		for _, w := range c.works {
			events += len(w.item.Events)
		}
		if f.deadline.IsZero() {
			f.deadline = time.Now().Add(limit)
		}
		if c.op == opChecked && !c.works[0].item.Named {
			c.op, c.works[0].below = opSearch, math.MaxInt64
		}
	}
	return events
}

// fail settles all appends of the flight without an answer.
func (f *flight) fail(cause error) {
	for i := range f.calls {
		for _, w := range f.calls[i].works {
			if f.mayBeStored() && len(w.item.Events) > 0 {
				w.unknown(cause)
			} else {
				w.fail(Unavailable("the server is away", cause))
			}
		}
	}
}

func (w *work) settle(o persistence.Outcome) { w.batch.Settle(w.index, o) }

func (w *work) fail(err error) { w.settle(persistence.Outcome{Err: err}) }

// stored settles an append whose first event has a version and a position.
func (f *flight) stored(w *work, first, position int64, duplicate bool) {
	f.newest = max(f.newest, position+int64(len(w.item.Events))-1)
	w.settle(persistence.Outcome{
		First: persistence.Version(first), Last: persistence.Version(first) + persistence.Version(len(w.item.Events)) - 1,
		Position: persistence.Position{Part: Partition, Offset: position}, Duplicate: duplicate,
	})
}

// noteStored notes an append whose first event has a position, before the append is settled.
func (c *Committer) noteStored(w *work, position int64) {
	if n := len(w.item.Events); n > 0 {
		c.host.Stored(position+int64(n)-1, w.item.Events[n-1].ID)
	}
}

func (w *work) conflict(actual int64) {
	w.fail(&persistence.ConflictError{Stream: w.item.Stream, Expected: w.item.Expected, Actual: persistence.Version(actual)})
}

func (w *work) unknown(cause error) {
	ids := make([]persistence.EventID, len(w.item.Events))
	for i := range ids {
		ids[i] = w.item.Events[i].ID
	}
	w.fail(&persistence.UnknownOutcomeError{Stream: w.item.Stream, Expected: w.item.Expected, IDs: ids, Err: Public(cause)})
}

func (w *work) corrupt(reason string) {
	w.fail(&persistence.CorruptError{Stream: w.item.Stream, Reason: reason})
}

// settle settles the appends that the answer decides, and returns the flights that the
// others need.
func (f *flight) settle(c *Committer, a wire.Answer) []*flight {
	if a.Err != nil {
		return f.settleRefused(c, a.Err)
	}
	var next []call
	for i, call := range f.calls {
		switch call.op {
		case opSingle:
			next = append(next, f.settleSingle(c, call.works, a.Rows[i])...)
		case opLean:
			next = append(next, f.settleLean(c, call.works, a.Rows[i])...)
		case opExact:
			next = append(next, f.settleExact(c, call.works, a.Rows[i])...)
		default:
			if op, more := f.settleOne(c, call.op, call.works[0], a.Rows[i]); more {
				next = append(next, one(op, call.works[0]))
			}
		}
	}
	if len(next) == 0 {
		return nil
	}
	return []*flight{f.follow(next)}
}

func (f *flight) follow(calls []call) *flight {
	return &flight{calls: calls, order: f.order, follows: f.follows, epoch: f.epoch, deadline: f.deadline, fenced: f.fenced}
}

func one(op op, w *work) call { return call{op, []*work{w}} }

// settleRefused handles an error that undid the whole flight. One append is the cause, so
// each is tried again alone.
func (f *flight) settleRefused(c *Committer, err *pgsession.ServerError) []*flight {
	if len(f.calls) == 1 && len(f.calls[0].works) == 1 {
		only := f.calls[0]
		w := only.works[0]
		switch refused := c.host.Refusal(w.item.Stream, err); {
		case !f.mayBeStored() || only.op == opHead: // opHead comes after a certain conflict
			w.fail(refused)
		case only.op == opAttempt || only.op == opSearch:
			w.unknown(err)
		default:
			w.refused, w.below = refused, math.MaxInt64
			return []*flight{f.follow([]call{{opSearch, only.works}})}
		}
		return nil
	}
	var alone []*flight
	for i := range f.calls {
		for _, w := range f.calls[i].works {
			alone = append(alone, f.follow([]call{one(f.calls[i].op.alone(), w)}))
		}
	}
	return alone
}

// settleExact settles the appends that the exact function has stored, and returns the calls
// for those that it has refused.
func (f *flight) settleExact(c *Committer, works []*work, rows [][][]byte) (next []call) {
	base, refused, ok := readExact(works, rows)
	if !ok {
		for _, w := range works {
			w.corrupt("the append function contradicts itself")
		}
		return nil
	}
	stored := make([]*work, 0, len(works))
	for i, w := range works {
		if refused[i] {
			next = append(next, one(f.afterRefusal(w), w))
		} else {
			stored = append(stored, w)
		}
	}
	f.storedAll(c, stored, base)
	return next
}

// readExact decodes the result of the exact function: the position before the appends that
// it stored, and which appends it refused. ok says that each append was stored or refused as
// a whole and no event is missing.
func readExact(works []*work, rows [][][]byte) (base int64, refused []bool, ok bool) {
	if len(rows) != 1 || len(rows[0]) != 3 {
		return 0, nil, false
	}
	base, ok1 := wire.ReadInt8(rows[0][0])
	inserted, ok2 := wire.ReadInt4(rows[0][1])
	ordinals, ok3 := wire.ReadInt4s(rows[0][2])
	if !ok1 || !ok2 || !ok3 {
		return 0, nil, false
	}
	slices.Sort(ordinals)
	refused = make([]bool, len(works))
	sent, left := 0, ordinals
	for i, w := range works {
		n := len(w.item.Events)
		if len(left) > 0 && int(left[0]) == sent+1 {
			if len(left) < n || int(left[n-1]) != sent+n {
				return 0, nil, false
			}
			refused[i], left = true, left[n:]
		}
		sent += n
	}
	return base, refused, len(left) == 0 && int(inserted)+len(ordinals) == sent
}

// afterRefusal returns the statement for an append that the exact function has refused.
func (f *flight) afterRefusal(w *work) op {
	switch {
	case f.mayBeStored():
		return opAttempt // an earlier attempt of its own may stand there
	case w.item.Expected == persistence.NoStream:
		return opChecked // which knows of streams that were deleted
	}
	return opHead
}

// settleOne handles the answer to a statement about one append. It returns the
// statement to go on with, if there is one.
func (f *flight) settleOne(c *Committer, did op, w *work, rows [][][]byte) (next op, more bool) {
	switch did {
	case opChecked:
		return f.settleChecked(c, w, rows)
	case opAttempt:
		return f.settleAttempt(c, w, rows)
	case opSearch:
		return f.settleSearch(c, w, rows)
	}
	return w.settleHead(rows)
}

func (f *flight) settleChecked(c *Committer, w *work, rows [][][]byte) (next op, more bool) {
	if len(rows) != 1 || len(rows[0]) != 5 || len(rows[0][4]) != 1 {
		w.corrupt("the append function contradicts itself")
		return 0, false
	}
	outcome := DecodeOutcome(w.item, rows[0])
	if rows[0][4][0] != 0 {
		c.early.Store(true)
		if outcome.Duplicate && !f.flush {
			return opChecked, true // another writer has stored it and may not have flushed it yet
		}
	}
	if outcome.Err == nil {
		f.newest = max(f.newest, outcome.Position.Offset+int64(len(w.item.Events))-1)
		if !outcome.Duplicate {
			c.noteStored(w, outcome.Position.Offset)
		}
	}
	w.settle(outcome)
	return 0, false
}

// settleAttempt distinguishes an earlier attempt of its own from a conflict.
func (f *flight) settleAttempt(c *Committer, w *work, rows [][][]byte) (next op, more bool) {
	own := len(rows) == len(w.item.Events)
	for i := 0; own && i < len(rows); i++ {
		own = string(rows[i][1]) == string(w.item.Events[i].ID[:])
	}
	switch {
	case own:
		first, ok1 := wire.ReadInt8(rows[0][0])
		position, ok2 := wire.ReadInt8(rows[0][2])
		if !ok1 || !ok2 {
			w.corrupt("a row is not what its statement promises")
			return 0, false
		}
		c.noteStored(w, position)
		f.stored(w, first, position, false)
		return 0, false
	case len(rows) == 0 && !f.fenced:
		// Nothing stands there, and yet the append was refused, because the event before it
		// is missing. The earlier attempt may still run and find that event.
		w.unknown(ErrUnproven)
		return 0, false
	case w.item.Expected == persistence.NoStream:
		return opChecked, true
	}
	return opHead, true
}

// settleSearch ends the search for an append that named no version.
func (f *flight) settleSearch(c *Committer, w *work, rows [][][]byte) (next op, more bool) {
	if len(rows) != 1 || len(rows[0]) != 4 {
		w.corrupt("a row is not what its statement promises")
		return 0, false
	}
	if version, found := wire.ReadInt8(rows[0][0]); found {
		position, _ := wire.ReadInt8(rows[0][1])
		c.noteStored(w, position)
		f.stored(w, version, position, false)
		return 0, false
	}
	lowest, some := wire.ReadInt8(rows[0][2])
	position, _ := wire.ReadInt8(rows[0][3])
	if some && lowest > 1 && position > w.floor {
		w.below = lowest
		return opSearch, true
	}
	switch {
	case !f.fenced:
		w.unknown(ErrUnproven)
		return 0, false
	case w.refused != nil:
		w.fail(w.refused)
		return 0, false
	}
	return opChecked, true
}

// settleHead settles an append without events, or one with a conflict. The conflict names a
// version that the stream had while the append was under way. A version that the append
// accepts is no conflict: others have written since the append was refused. Then opChecked
// decides about the append at one moment.
func (w *work) settleHead(rows [][][]byte) (next op, more bool) {
	found, ok := DecodeStreamEnd(rows)
	switch {
	case !ok:
		w.corrupt("a row is not what its statement promises")
	case len(w.item.Events) == 0:
		w.settle(found.Outcome(w.item))
	case w.item.Expected.Accepts(found.version) && w.item.Follows == nil:
		return opChecked, true
	default:
		w.conflict(int64(found.version)) //nolint:gosec // it was one before
	}
	return 0, false
}
