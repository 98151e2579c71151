package persistence

import (
	"context"
	"fmt"
)

// Checker is the ability of a journal to examine itself and what it rests on, for
// operators: at any time, beside the writers, and without changing anything.
type Checker interface {
	// Check returns at least one finding about each thing it looks at, so that what
	// was not looked at shows too. What cannot be seen, for want of a right, is a
	// finding. The error is set only when nothing could be looked at: ctx was done,
	// or the journal is closed or away.
	Check(ctx context.Context, options CheckOptions) ([]Finding, error)
}

// CheckOptions say how far a check goes. The zero value takes moments, whatever
// the size of the journal: it looks at the newest events and streams.
type CheckOptions struct {
	// Full reads every event and every stream. It takes as long as that takes.
	Full bool
}

// Severity says how bad a finding is.
type Severity int

// The severities, in order.
const (
	// Fine is as it should be.
	Fine Severity = iota
	// Note is worth knowing, and needs nothing to be done.
	Note
	// Warning will hurt later, or under load.
	Warning
	// Fault breaks a promise of the journal.
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

// Finding is what a check has found about one thing.
type Finding struct {
	// Severity says how bad it is.
	Severity Severity
	// Check names the thing, the same way every time: "schema", "versions".
	Check string
	// Text says what was found. It holds names of streams, and no payload, metadata,
	// key or connection string.
	Text string
	// Fix says what to do; empty where nothing is to be done.
	Fix string
}
