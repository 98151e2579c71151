package tail

import (
	"strings"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// Options choose what a subscription sees. The zero value sees everything from the
// beginning, but for streams of the system.
type Options struct {
	// After is the last place already seen; nil is the beginning. To get only new events,
	// pass the journal's Head.
	After persistence.Positions
	// Checkpoint is a place that was taken before, instead of After. The zero one is
	// none.
	Checkpoint Checkpoint
	// Stream leaves all other streams out. A stream of the system needs no System.
	Stream persistence.StreamID
	// Category leaves the streams of all other categories out. Stream must be empty
	// then.
	Category string
	// Filter chooses among the events as they are stored. Nil chooses all.
	Filter persistence.Filter
	// System includes streams whose name begins with "$".
	System bool
	// PageRows and PageBytes bound a page as in [persistence.ReadAllOptions].
	PageRows, PageBytes int
	// ReadAhead has the next page read while the subscriber works with one, so that a reader
	// far behind the end waits for less. Then one more page is in memory, and the filter is
	// evaluated on another goroutine. At the end of the journal nothing is read ahead. The
	// default is to read a page when it is asked for.
	ReadAhead bool
}

// selection is the choice of a subscription from each page.
type selection struct {
	filter      persistence.Filter // nil chooses all
	system      bool
	rows, bytes int
}

func (s *selection) readOptions(after persistence.Positions) persistence.ReadAllOptions {
	return persistence.ReadAllOptions{After: after, Filter: s.filter, System: s.system, PageRows: s.rows, PageBytes: s.bytes}
}

// chooses says what a journal would when it reads with these options.
func (s *selection) chooses(recorded *persistence.Recorded) bool {
	return (s.system || !isSystem(recorded.Stream)) && (s.filter == nil || s.filter.Match(recorded))
}

func isSystem(stream persistence.StreamID) bool { return strings.HasPrefix(string(stream), "$") }

// selection checks the options, and makes one filter of all that chooses.
func (o *Options) selection() (*selection, error) {
	if o.Stream != "" && o.Category != "" {
		return nil, &persistence.InvalidError{Field: "category", Reason: "and stream exclude each other"}
	}
	if o.After != nil && !o.Checkpoint.isZero() {
		return nil, &persistence.InvalidError{Field: "after", Reason: "and checkpoint exclude each other"}
	}
	s := &selection{filter: o.Filter, system: o.System || isSystem(o.Stream) || isSystem(persistence.StreamID(o.Category))}
	switch {
	case o.Stream != "":
		if err := o.Stream.CheckName(); err != nil {
			return nil, err
		}
		s.filter = narrow(filter.Stream().Eq(o.Stream), o.Filter)
	case o.Category != "":
		if err := persistence.CheckCategory(o.Category); err != nil {
			return nil, err
		}
		s.filter = narrow(filter.Category().Eq(o.Category), o.Filter)
	}
	normal, err := persistence.ReadAllOptions{After: o.After, Filter: s.filter, PageRows: o.PageRows, PageBytes: o.PageBytes}.Normal()
	s.rows, s.bytes = normal.PageRows, normal.PageBytes
	return s, err
}

// narrow joins a scope and the user's filter, so that journals can look up as much
// as possible in their indexes.
func narrow(scope filter.Filter, further persistence.Filter) persistence.Filter {
	if further == nil {
		return scope
	}
	if known, ok := further.(filter.Filter); ok {
		if joined := scope.And(known); joined.Check() == nil {
			return joined
		}
	}
	return narrowed{scope, further} // of another package, or too large to be joined, or invalid
}

// narrowed is the conjunction of a scope and any filter. What the scope needs is
// needed by both.
type narrowed struct {
	filter.Filter
	further persistence.Filter
}

// Match fulfils [persistence.Filter].
func (n narrowed) Match(recorded *persistence.Recorded) bool {
	return n.Filter.Match(recorded) && n.further.Match(recorded)
}

// Check fulfils [persistence.Filter].
func (n narrowed) Check() error { return n.further.Check() }
