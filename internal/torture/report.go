package torture

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Fault is a way in which a promise was broken.
type Fault string

// Faults of appends, found in the tables.
const (
	// Lost is an event whose append was acknowledged, and that is not there.
	Lost Fault = "acknowledged but lost"
	// Doubled is an event that is there twice.
	Doubled Fault = "stored twice"
	// Hole is a position that is missing.
	Hole Fault = "position holes"
	// VersionHole is a version that is missing, or that stands before a lower one.
	VersionHole Fault = "version holes"
	// Misplaced is an append that stands elsewhere than it expected or was told.
	Misplaced Fault = "wrong place"
	// Stored is an append that was refused and is there.
	Stored Fault = "refused but stored"
	// Torn is an append or a transaction of which only a part is there.
	Torn Fault = "torn"
	// Unfounded is an append that is there without the one that it was decided on.
	Unfounded Fault = "without its predecessor"
	// Undecided is an append whose outcome is unknown and that its ids do not tell of.
	Undecided Fault = "undecidable"
	// Unexplained is an event that nobody appended.
	Unexplained Fault = "unexplained"
)

// Faults of deliveries to readers, found in the tables.
const (
	// Skipped is an event that a reader has passed without seeing it.
	Skipped Fault = "not delivered"
	// Repeated is an event that a reader was given twice.
	Repeated Fault = "delivered twice"
	// Reordered is an event that a reader was given behind one that follows it.
	Reordered Fault = "out of order"
	// Undone is an event that a reader was given and that is not there, or is another.
	Undone Fault = "delivered but lost"
	// Unwanted is an event that a reader did not ask for.
	Unwanted Fault = "not asked for"
	// Stalled is a reader who did not come to the end while a foreign transaction was
	// open, or at all.
	Stalled Fault = "stalled"
	// Corrupt is a journal that says so itself.
	Corrupt Fault = "said to be corrupt"
)

// faults are all there are, in the order of a report.
func faults() []Fault {
	return []Fault{
		Lost, Doubled, Hole, VersionHole, Misplaced, Stored, Torn, Unfounded, Undecided, Unexplained,
		Skipped, Repeated, Reordered, Undone, Unwanted, Stalled, Corrupt,
	}
}

type finding struct {
	fault Fault
	text  string
}

// Report says what a program did and found.
type Report struct {
	Program string // which it was
	Seed    uint64 // how to do it again
	// Rows are the events at the end. The attempts are the appends, by what their
	// writers were told.
	Rows, Attempts, Acknowledged, Refused, Conflicts, Unknown int
	// Deliveries are the events that readers were given, Returns how often one went on
	// after an error or by a checkpoint.
	Readers, Deliveries, Returns int
	// Kills are the backends that were ended, Crashes those of the server, Halves, Cuts
	// and Closes what the proxy did.
	Kills, Crashes, Halves, Cuts, Closes int
	// Calls says how often the server's functions were called, if it counted.
	Calls map[string]int
	// Quiet and Foreign are the delays between the storing of an event and its delivery
	// to a reader of all, without and with a foreign transaction open.
	Quiet, Foreign Delays

	// Faults counts what was found.
	Faults map[Fault]int
	// Texts has the first of each.
	Texts []string
}

// Delays are points of a distribution.
type Delays struct {
	P50, P99 time.Duration // half of all are shorter, all but a hundredth are
}

func newDelays(delays []time.Duration) Delays {
	if len(delays) == 0 {
		return Delays{}
	}
	slices.Sort(delays)
	return Delays{delays[len(delays)/2], delays[len(delays)*99/100]}
}

// shown is the number of faults of a sort that are printed in full.
const shown = 3

func (r *Report) found(fault Fault, format string, arguments ...any) {
	if r.Faults == nil {
		r.Faults = map[Fault]int{}
	}
	r.Faults[fault]++
	if r.Faults[fault] <= shown {
		r.Texts = append(r.Texts, fmt.Sprintf("%s: %s", fault, fmt.Sprintf(format, arguments...)))
	}
}

// String prints a table.
func (r *Report) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s, seed %d\n", r.Program, r.Seed)
	line := func(name string, value any) { fmt.Fprintf(&text, "  %-24s %v\n", name, value) }
	line("rows", r.Rows)
	line("appends", fmt.Sprintf("%d: %d acknowledged, %d refused (%d conflicts), %d unknown", r.Attempts, r.Acknowledged, r.Refused, r.Conflicts, r.Unknown))
	line("deliveries", fmt.Sprintf("%d to %d readers, who returned %d times", r.Deliveries, r.Readers, r.Returns))
	line("harm", fmt.Sprintf("%d backends killed, %d crashes, %d messages in halves, %d cut, %d closed", r.Kills, r.Crashes, r.Halves, r.Cuts, r.Closes))
	if r.Foreign != (Delays{}) {
		line("delay p50, p99", fmt.Sprintf("%s, %s; with a foreign transaction %s, %s", micro(r.Quiet.P50), micro(r.Quiet.P99), micro(r.Foreign.P50), micro(r.Foreign.P99)))
	}
	for _, name := range sortedKeys(r.Calls) {
		line("calls of "+name, r.Calls[name])
	}
	for _, fault := range faults() {
		line(string(fault), r.Faults[fault])
	}
	for _, found := range r.Texts {
		fmt.Fprintf(&text, "  ! %s\n", found)
	}
	return text.String()
}

func micro(d time.Duration) time.Duration { return d.Round(time.Microsecond) }
