package torture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/stele-es/stele/persistence"
)

// ledger remembers what was attempted, and what writers were told of it.
type ledger struct {
	mu       sync.Mutex // protects attempts and what they hold
	attempts []*attempt
	groups   int64
	acks     int
	wrong    []finding
}

// attempt is one append. Its number stands in the payloads of its events.
type attempt struct {
	number   uint64
	stream   persistence.StreamID
	expected persistence.Expected
	events   int
	ids      []persistence.EventID // when the writer chose them
	// after is the attempt of the same chain that this one was decided on.
	after *attempt
	// group joins the attempts of one transaction; note says that it wrote a row of
	// the caller's beside them.
	group int64
	note  bool

	told    told
	kind    persistence.ErrorKind // of the refusal
	first   persistence.Version
	offset  int64
	unknown []persistence.EventID // the ids that are to tell
}

// told is the outcome of an attempt as its writer knows it.
type told int

const (
	nothing told = iota // a program that ended early never heard
	stored
	refused
	unknown
)

// tag is the content of a payload: which event of which attempt it is, and of how many.
type tag struct {
	attempt uint64
	index   uint16
	count   uint16
}

func (t tag) payload() []byte {
	payload := binary.BigEndian.AppendUint64(make([]byte, 0, 64), t.attempt)
	payload = binary.BigEndian.AppendUint16(payload, t.index)
	payload = binary.BigEndian.AppendUint16(payload, t.count)
	return append(payload, "and some bytes that make it as long as such facts are"...)
}

func parseTag(payload []byte) (tag, bool) {
	if len(payload) < 12 {
		return tag{}, false
	}
	return tag{binary.BigEndian.Uint64(payload), binary.BigEndian.Uint16(payload[8:]), binary.BigEndian.Uint16(payload[10:])}, true
}

// begin notes an attempt before it is made.
func (l *ledger) begin(stream persistence.StreamID, expected persistence.Expected, events int) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	a := &attempt{number: uint64(len(l.attempts) + 1), stream: stream, expected: expected, events: events}
	l.attempts = append(l.attempts, a)
	return a
}

// join makes one transaction of attempts that were begun.
func (l *ledger) join(note bool, attempts ...*attempt) (group int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.groups++
	for _, a := range attempts {
		a.group, a.note = l.groups, note
	}
	return l.groups
}

// append is the attempt as a journal gets it, anew each time because the events
// belong to the journal from then on.
func (a *attempt) append() persistence.Append {
	events := make([]persistence.Event, a.events)
	for i := range events {
		events[i] = persistence.Event{
			Type: typeOf(a.number), Payload: tag{a.number, uint16(i), uint16(a.events)}.payload(),
			Metadata: persistence.Metadata{"lane": persistence.Int(int64(a.number % lanes))},
		}
		if a.ids != nil {
			events[i].ID = a.ids[i]
		}
	}
	return persistence.Append{Stream: a.stream, Expected: a.expected, Events: events}
}

// lanes are by what filters choose.
const lanes = 5

func typeOf(attempt uint64) string {
	if attempt%2 == 0 {
		return "even"
	}
	return "odd"
}

// chooseIDs makes the attempt one that can be repeated.
func (a *attempt) chooseIDs() {
	for range a.events {
		a.ids = append(a.ids, persistence.NewEventID())
	}
}

// end notes what the writer was told. A later word counts only when it says more:
// an attempt that may have been stored is not undone by a repetition that was
// refused.
func (l *ledger) end(a *attempt, o persistence.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	kind := persistence.ErrorKindOf(o.Err)
	switch {
	case o.Err == nil:
		l.acknowledge(a, o)
	case kind == persistence.ErrUnknownOutcome:
		if a.told != stored {
			a.told = unknown
		}
		if own, ok := errors.AsType[*persistence.UnknownOutcomeError](o.Err); ok && len(own.IDs) > 0 {
			a.unknown = own.IDs
		}
	case kind == persistence.ErrCorrupt || kind == persistence.ErrInvalid || kind == persistence.ErrEventIDReused:
		l.note(Corrupt, a, "was answered with %v", o.Err)
		a.told = unknown
	case a.told == nothing:
		a.told, a.kind = refused, kind
	}
}

// acknowledge notes that an attempt was stored, or stored before. The caller holds mu.
func (l *ledger) acknowledge(a *attempt, o persistence.Outcome) {
	if a.told == stored && (a.first != o.First || a.offset != o.Position.Offset || !o.Duplicate) {
		l.note(Misplaced, a, "was stored at version %d, position %d, and its repetition at version %d, position %d", a.first, a.offset, o.First, o.Position.Offset)
		return
	}
	l.acks++
	a.told, a.first, a.offset = stored, o.First, o.Position.Offset
	if n := int(o.Last-o.First) + 1; n != a.events {
		l.note(Misplaced, a, "has versions %d to %d", o.First, o.Last)
	}
}

// refuse notes that a transaction was surely not committed, or never begun.
func (l *ledger) refuse(err error, attempts ...*attempt) {
	for _, a := range attempts {
		l.end(a, persistence.Outcome{Err: err})
	}
}

// leaveOpen notes that only the tables tell what became of a transaction.
func (l *ledger) leaveOpen(attempts ...*attempt) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, a := range attempts {
		a.told = unknown
	}
}

// note keeps what was found while the program ran. The caller holds mu.
func (l *ledger) note(fault Fault, a *attempt, format string, arguments ...any) {
	l.wrong = append(l.wrong, finding{fault, fmt.Sprintf("attempt %d on %s %s", a.number, a.stream, fmt.Sprintf(format, arguments...))})
}

// storedAll reports whether attempts were all said to be stored.
func (l *ledger) storedAll(attempts []*attempt) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !slices.ContainsFunc(attempts, func(a *attempt) bool { return a.told != stored })
}

// acknowledged counts how often it was said that something is stored.
func (l *ledger) acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acks
}

// all returns the attempts, once nobody writes any more.
func (l *ledger) all() []*attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.attempts)
}
