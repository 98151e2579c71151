package persistence

import (
	"context"
	"fmt"
)

// Checker is the ability of a journal to examine itself and what it rests on, for
// operators: at any time, beside the writers, and without changing anything.
type Checker interface {
	// Check returns at least one finding about each thing that it looks at, so that a
	// missing one shows that it was not looked at. A thing that it may not see, for lack
	// of a right, is a finding. The error is set only when nothing could be looked at:
	// ctx was done, or the journal is closed or away.
	Check(ctx context.Context, options CheckOptions) ([]Finding, error)
}

// CheckOptions say how much a check looks at. The zero value looks at the newest events
// and streams, which takes moments whatever the size of the journal.
type CheckOptions struct {
	// Full reads every event and every stream, which takes as long as reading the
	// journal.
	Full bool
}

// Severity says how bad a finding is.
type Severity int

// The severities, in order.
const (
	// Fine: as it should be.
	Fine Severity = iota
	// Note: worth knowing; nothing has to be done.
	Note
	// Warning: it will do harm later, or under load.
	Warning
	// Fault: it breaks a promise of the journal.
	Fault
)

var severities = [...]string{"fine", "note", "warning", "fault"}

// String returns the word for s.
func (s Severity) String() string {
	if s < Fine || s > Fault {
		return fmt.Sprintf("Severity(%d)", int(s))
	}
	return severities[s]
}

// ParseSeverity returns the severity for a word.
func ParseSeverity(word string) (Severity, error) {
	for s, known := range severities {
		if word == known {
			return Severity(s), nil
		}
	}
	return Fine, &InvalidError{Field: "severity", Reason: "is none of fine, note, warning and fault"}
}

// Finding is the result of a check about one thing.
type Finding struct {
	// Severity says how bad it is.
	Severity Severity
	// Check names the thing, the same way every time: "schema", "versions".
	Check string
	// Text says what was found. It holds names of streams, and no payload, metadata,
	// key or connection string.
	Text string
	// Fix says what to do. It is empty when nothing has to be done.
	Fix string
}
