package persistence

import (
	"context"
	"fmt"
	"strings"
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

// What a check that is not full looks at: the newest streams, the newest events
// of each of them, and the newest events of all.
const (
	CheckedStreams  = 1000
	CheckedVersions = 1000
	checkedEvents   = 10_000
)

// shownFaults bounds what one finding tells.
const shownFaults = 10

// StreamsFinding makes one finding of all that a journal has found wrong with its
// streams.
func StreamsFinding(faults []string, options CheckOptions) Finding {
	finding := Finding{Check: "streams", Text: "versions have no gap and streams say what their events say"}
	if !options.Full {
		finding.Text += fmt.Sprintf(", of the newest %d", CheckedStreams)
	}
	if n := len(faults); n > 0 {
		finding.Severity, finding.Fix = Fault, restore
		finding.Text = strings.Join(faults[:min(n, shownFaults)], "; ")
		if n > shownFaults {
			finding.Text += fmt.Sprintf("; and %d more", n-shownFaults)
		}
	}
	return finding
}

const restore = "restore the journal from a backup, and look for what has written to it"

// CheckEvents reads events, the newest ones or all, and finds positions that are
// missing, events without a stream and what cannot be decoded, by the errors that
// [Reader.ReadAll] answers them with. Journals call it in [Checker.Check].
func CheckEvents(ctx context.Context, reader Reader, options CheckOptions) (Finding, error) {
	finding := Finding{Check: "events"}
	head, err := reader.Head(ctx)
	if err != nil && ErrorKindOf(err) == ErrCorrupt {
		finding.Severity, finding.Text, finding.Fix = Fault, err.Error(), restore
		return finding, nil
	}
	if err != nil {
		return finding, err
	}
	after := make(Positions, len(head))
	if !options.Full {
		for part := range head {
			after[part] = max(0, head[part]-checkedEvents)
		}
	}
	last := after
	for page, err := range reader.ReadAll(ctx, ReadAllOptions{After: after, System: true}) {
		if err != nil && ErrorKindOf(err) == ErrCorrupt {
			finding.Severity = Fault
			finding.Text = fmt.Sprintf("behind %s: %v", places(last), err)
			finding.Fix = restore
			return finding, nil
		}
		if err != nil {
			return finding, err
		}
		if last = page.Next; reached(last, head) {
			break // writers go on meanwhile
		}
	}
	finding.Text = "nothing is missing up to " + places(head)
	if !options.Full {
		finding.Text += fmt.Sprintf(", of the newest %d", checkedEvents)
	}
	return finding, nil
}

func reached(at, head Positions) bool {
	for part := range head {
		if !at.Covers(head.Of(uint16(part))) { //nolint:gosec // partitions are numbered by it
			return false
		}
	}
	return true
}

// places prints where in the global sequence.
func places(at Positions) string {
	if len(at) == 0 {
		return "the beginning"
	}
	words := make([]string, len(at))
	for part := range at {
		words[part] = at.Of(uint16(part)).String() //nolint:gosec // partitions are numbered by it
	}
	return "position " + strings.Join(words, ", ")
}
