package journalkit

import (
	"context"
	"fmt"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// The part that a check looks at when it is not full: the newest streams, the newest
// events of each of them, and the newest events of all.
const (
	CheckedStreams  = 1000
	CheckedVersions = 1000
	checkedEvents   = 10_000
)

// shownFaults bounds what one finding tells.
const shownFaults = 10

// StreamsFinding makes one finding of all that a journal has found wrong with its
// streams.
func StreamsFinding(faults []string, options persistence.CheckOptions) persistence.Finding {
	finding := persistence.Finding{Check: "streams", Text: "versions have no gap and streams say what their events say"}
	if !options.Full {
		finding.Text += fmt.Sprintf(", of the newest %d", CheckedStreams)
	}
	if n := len(faults); n > 0 {
		finding.Severity, finding.Fix = persistence.Fault, restore
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
// [persistence.Reader.ReadAll] answers them with. Journals call it in [persistence.Checker.Check].
func CheckEvents(ctx context.Context, reader persistence.Reader, options persistence.CheckOptions) (persistence.Finding, error) {
	finding := persistence.Finding{Check: "events"}
	head, err := reader.Head(ctx)
	if err != nil && persistence.ErrorKindOf(err) == persistence.ErrCorrupt {
		finding.Severity, finding.Text, finding.Fix = persistence.Fault, err.Error(), restore
		return finding, nil
	}
	if err != nil {
		return finding, err
	}
	after := make(persistence.Positions, len(head))
	if !options.Full {
		for part := range head {
			after[part] = max(0, head[part]-checkedEvents)
		}
	}
	last := after
	for page, err := range reader.ReadAll(ctx, persistence.ReadAllOptions{After: after, System: true}) {
		if err != nil && persistence.ErrorKindOf(err) == persistence.ErrCorrupt {
			finding.Severity = persistence.Fault
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

func reached(at, head persistence.Positions) bool {
	for part := range head {
		if !at.Covers(head.Of(uint16(part))) { //nolint:gosec // partitions are numbered by it
			return false
		}
	}
	return true
}

// places prints where in the global sequence.
func places(at persistence.Positions) string {
	if len(at) == 0 {
		return "the beginning"
	}
	words := make([]string, len(at))
	for part := range at {
		words[part] = at.Of(uint16(part)).String() //nolint:gosec // partitions are numbered by it
	}
	return "position " + strings.Join(words, ", ")
}
