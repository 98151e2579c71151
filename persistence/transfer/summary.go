package transfer

import (
	"fmt"

	"github.com/stele-es/stele/persistence"
)

// Summary counts what was moved, also by a call that has ended with an error.
type Summary struct {
	// Journal is where it comes from; of a file with several headers, the last.
	Journal persistence.JournalID
	// Events, Streams and Schemas count those that were written or read, those that
	// stood there already included.
	Events, Streams, Schemas int64
	// Next is the place in the journal that it comes from, up to which it is complete:
	// where another export or copy goes on.
	Next persistence.Positions
	// Lines and Bytes are how far a file was read, or what was written of it. Bytes
	// ends with a line.
	Lines, Bytes int64
	// Whole says that the file ended as files end.
	Whole bool
}

// LineError is a fault of a file.
type LineError struct {
	// Line counts from 1.
	Line int64
	// Err says what is wrong with it.
	Err error
}

// Error fulfils error.
func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap returns the cause, nil when there is none.
func (e *LineError) Unwrap() error { return e.Err }

func invalid(field, reason string) error {
	return &persistence.InvalidError{Field: field, Reason: reason}
}
