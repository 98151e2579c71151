package projections

import (
	"fmt"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Defaults of a definition.
const (
	defaultRetries = 8
	defaultBackoff = 10 * time.Millisecond
	// DefaultTimeout is the time that a handler may take for one event, see [Timeout]. It
	// is less than the time after which a server of package postgres ends an idle
	// transaction.
	DefaultTimeout = 25 * time.Second
	// MaxWorkers is the most workers that a projection can be divided among.
	MaxWorkers = 64
)

// Option changes what does not depend on the target: see [Definition.With].
type Option func(*spec)

// With returns a copy of the definition with options.
func (d *Definition[T]) With(options ...Option) *Definition[T] {
	changed := *d
	changed.problems = slices.Clone(d.problems)
	for _, option := range options {
		option(&changed.spec)
	}
	return &changed
}

// FromAll takes the events of all streams but those of the system. It is the default.
func FromAll() Option { return func(s *spec) { s.from("FromAll", source{all: true}) } }

// FromStreams takes the events of some streams. Streams of the system may be named.
func FromStreams(streams ...persistence.StreamID) Option {
	return func(s *spec) { s.from("FromStreams", source{streams: streams}) }
}

// FromKinds takes the events of all streams of some kinds, also of streams that do
// not exist yet. The kind of a stream is its category.
func FromKinds(kinds ...string) Option {
	return func(s *spec) { s.from("FromKinds", source{kinds: kinds}) }
}

// FromTags takes the events that have at least one of some tags.
func FromTags(tags ...string) Option {
	return func(s *spec) { s.from("FromTags", source{tags: tags}) }
}

func (s *spec) from(name string, from source) {
	switch {
	case s.source.named:
		s.problems = append(s.problems, fmt.Errorf("%s is a second source: keep one", name))
	case !from.all && len(from.streams)+len(from.kinds)+len(from.tags) == 0:
		s.problems = append(s.problems, fmt.Errorf("%s names nothing: name at least one", name))
	}
	from.where, from.system, from.named = s.source.where, s.source.system, true
	s.source = from
}

// Where narrows the source. A filter decides about events as they are stored. Events that
// it leaves out move the checkpoint too.
func Where(filter persistence.Filter) Option {
	return func(s *spec) {
		if s.source.where != nil || filter == nil {
			s.problems = append(s.problems, fmt.Errorf("Where is given twice or without a filter"))
		}
		s.source.where = filter
	}
}

// IncludeSystem includes streams whose name begins with "$".
func IncludeSystem() Option { return func(s *spec) { s.source.system = true } }

// Workers divides the projection among n workers by a hash of the stream, so that
// the events of one stream stay in order; n is a power of two up to [MaxWorkers].
// A running projection is divided anew when the number changes.
func Workers(n int) Option {
	return func(s *spec) {
		if n < 1 || n > MaxWorkers || n&(n-1) != 0 {
			s.problems = append(s.problems, fmt.Errorf("%d workers: give a power of two from 1 to %d", n, MaxWorkers))
			n = 1
		}
		s.workers = n
	}
}

// LaneBy names the lane of an event, for projections in which several streams write to
// one place. Events of one lane stay in order and go to one worker. The default is the
// stream's name. The function gets events as they are stored, and must depend on nothing
// else.
func LaneBy(lane func(recorded *persistence.Recorded) string) Option {
	return func(s *spec) {
		if s.lane != nil || lane == nil {
			s.problems = append(s.problems, fmt.Errorf("LaneBy is given twice or without a function"))
		}
		s.lane = lane
	}
}

// Policy says what happens to an event that keeps failing.
type Policy uint8

const (
	// Stop ends the projection at the event, which is not applied. It is the default:
	// nothing is ever left out unnoticed.
	Stop Policy = iota
	// Park sets the event aside with all that follow in its lane, and continues with the
	// others. See [Runner.Parked].
	Park
	// Skip leaves the event out, and keeps a note of it that [Runner.Parked] shows.
	Skip
)

// OnFailure chooses what happens to an event whose handler keeps failing. An event that
// cannot be decoded or upcast is not tried again. A target or a journal that is away is
// no failure of an event: the projection waits for it.
func OnFailure(policy Policy) Option {
	return func(s *spec) {
		if policy > Skip {
			s.problems = append(s.problems, fmt.Errorf("an unknown policy: give Stop, Park or Skip"))
		}
		s.policy = policy
	}
}

// Retries says how often a failing event is tried again before the policy decides,
// 8 times by default, and how long the first pause is, 10 ms by default. Each pause
// is twice the one before, up to 30 s, and a fifth shorter or longer by chance.
func Retries(times int, first time.Duration) Option {
	return func(s *spec) {
		if times < 0 || first < 0 {
			s.problems = append(s.problems, fmt.Errorf("Retries is negative"))
		}
		s.retries, s.backoff = max(0, times), max(0, first)
	}
}

// Timeout limits how long a handler may take for one event, [DefaultTimeout] by default.
// Then its context ends, and an error that it returns is a failure of the event, which is
// tried again and then treated as [OnFailure] says. A handler that returns nil has
// succeeded, however long it took. A handler that ignores its context is waited for. A
// handler that exceeds a deadline of its own has failed too.
func Timeout(d time.Duration) Option {
	return func(s *spec) {
		if d <= 0 {
			s.problems = append(s.problems, fmt.Errorf("Timeout is not above 0: leave it out for the default"))
			d = DefaultTimeout
		}
		s.timeout, s.timed = d, true
	}
}
