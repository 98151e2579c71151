package prooph

import "github.com/stele-es/stele/persistence"

// Problem is why a row does not fit.
type Problem int

const (
	// Hole: the row's version leaves out others. Mended it gets the next one.
	Hole Problem = iota + 1
	// BackDated: the row's version was left out before and comes behind a later one.
	// Mended it gets the next one, so that rows keep their order.
	BackDated
	// Duplicate: an earlier row has the row's version. Mended it gets the next one.
	Duplicate
	// Version: what the row claims as its version is no positive whole number. Mended
	// it gets the next one.
	Version
	// Metadata: the row's metadata, or that of the whole stream, holds what ours does
	// not allow. Mended, null is left out, and values that are nested or beyond the
	// range of numbers become the text of their JSON.
	Metadata
	// Name: the name of the stream or of the event's type breaks a rule, or the
	// aggregate has none. It cannot be mended; [Config.Rename] can.
	Name
	// Value: the payload is too large, the time is infinite, or the id is zero. It
	// cannot be mended.
	Value
	// Shared: the stream has events of another table already, so there is no order
	// between the two. It cannot be mended; [Config.Streams] and [Config.Rename] can.
	Shared
	// Missing: the table of a listed stream is not there. It cannot be mended.
	Missing
)

var problemNames = [...]string{
	Hole: "version hole", BackDated: "back-dated version", Duplicate: "duplicate version", Version: "unreadable version",
	Metadata: "metadata", Name: "name", Value: "value", Shared: "shared stream", Missing: "missing table",
}

// String says the problem in a few words.
func (p Problem) String() string {
	if p <= 0 || int(p) >= len(problemNames) {
		return "unknown problem"
	}
	return problemNames[p]
}

func (p Problem) mendable() bool { return p >= Hole && p <= Metadata }

// Policy says how a row with a problem is treated.
type Policy int

const (
	// Refuse ends the import before the row, with [*RefusedError].
	Refuse Policy = iota
	// Skip leaves the row out. Rows that follow one whose version is right are numbered
	// on without it; a row skipped for its version is as if it had never been, so that
	// behind a hole all are skipped until it is filled.
	Skip
	// Mend makes the row fit, as the problem's comment says. A row that cannot be mended
	// is refused all the same.
	Mend
)

// String is the policy's name.
func (p Policy) String() string {
	switch p {
	case Refuse:
		return "refuse"
	case Skip:
		return "skip"
	case Mend:
		return "mend"
	}
	return "unknown policy"
}

// Policies say what becomes of each problem; those that are left out are refused.
type Policies map[Problem]Policy

func (p Policies) check() error {
	for problem, policy := range p {
		switch {
		case problem < Hole || problem > Missing:
			return &persistence.InvalidError{Field: "policies", Reason: "name an unknown problem"}
		case policy < Refuse || policy > Mend:
			return &persistence.InvalidError{Field: "policies", Reason: "name an unknown policy"}
		case policy == Mend && !problem.mendable():
			return &persistence.InvalidError{Field: "policies", Reason: "mend what cannot be mended: " + problem.String()}
		}
	}
	return nil
}
