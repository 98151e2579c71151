package prooph

import (
	"fmt"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// MaxFindings is the highest number of findings of one problem in a report. All are
// counted.
const MaxFindings = 100

// Report counts what an import did, or would do according to [Check].
type Report struct {
	// Tables were read, and Streams were made of them.
	Tables, Streams int
	// Rows were read: of them Stored are in the journal, also those that were there
	// before, and Skipped were left out. Refused is at most 1, or in the report of
	// [Check] all rows at which an import would end. In that one Stored are the rows
	// that it would store were those gone.
	Rows, Stored, Skipped, Refused int64
	// Renumbered rows have another version than they claim, because of a mended
	// problem or a skipped row before them.
	Renumbered int64
	// Problems counts all that was found. A row may have several.
	Problems map[Problem]int64
	// Findings are the first of each problem, in the order of rows.
	Findings []Finding
}

// Finding is one problem of one row. It holds no payload and no metadata.
type Finding struct {
	// Problem names the fault.
	Problem Problem
	// Table is the name of the stream in prooph.
	Table string
	// No is the number of the row in its table; 0 means the whole stream.
	No int64
	// Stream is where the row belongs, as far as that is known.
	Stream persistence.StreamID
	// Claimed is the version that the row claims; 0 is not known.
	Claimed persistence.Version
	// Policy is the policy that was followed.
	Policy Policy
	// Err is the rule that was broken, if it is one of ours.
	Err error
}

// String is the finding in one line.
func (f Finding) String() string {
	var line strings.Builder
	fmt.Fprintf(&line, "%s: %s", f.Policy, f.Problem)
	if f.Claimed > 0 {
		fmt.Fprintf(&line, " %d", f.Claimed)
	}
	fmt.Fprintf(&line, " in %q", f.Table)
	if f.No > 0 {
		fmt.Fprintf(&line, " row %d", f.No)
	}
	if f.Stream != "" && string(f.Stream) != f.Table {
		fmt.Fprintf(&line, " of %q", f.Stream)
	}
	if f.Err != nil {
		fmt.Fprintf(&line, ": %v", f.Err)
	}
	return line.String()
}

// RefusedError ends an import at a row that does not fit. The rows before it may
// be stored.
type RefusedError struct {
	Finding Finding // the row, and what is wrong with it
}

// Error fulfils error.
func (e *RefusedError) Error() string { return "import from prooph: " + e.Finding.String() }

// Unwrap returns the cause as [persistence.Cause] shows it, nil when there is none.
func (e *RefusedError) Unwrap() error {
	return persistence.Cause(persistence.ErrInvalid, e.Finding.Err)
}

// Is matches [persistence.ErrInvalid].
func (e *RefusedError) Is(target error) bool { return target == persistence.ErrInvalid }

func (r *Report) add(f Finding) {
	if r.Problems == nil {
		r.Problems = map[Problem]int64{}
	}
	r.Problems[f.Problem]++
	if r.Problems[f.Problem] <= MaxFindings {
		r.Findings = append(r.Findings, f)
	}
}
