package tail

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stele-es/stele/persistence"
)

// Checkpoint is a place in one journal, in a form that can be kept. The zero
// Checkpoint is none.
type Checkpoint struct {
	// Journal is the journal that the place is in.
	Journal persistence.JournalID
	// Marks are the places in its partitions, by partition. One that is missing
	// stands at its beginning.
	Marks []Mark
}

// Mark is a place in one partition.
type Mark struct {
	// Position is the last one that the reader has done with.
	Position persistence.Position
	// EventID is that of the event at the position. It is zero when there was none to
	// see, because it had been scavenged.
	EventID persistence.EventID
}

func (c Checkpoint) isZero() bool { return c.Journal == persistence.JournalID{} && len(c.Marks) == 0 }

// Positions is the place without what proves it.
func (c Checkpoint) Positions() persistence.Positions {
	var at persistence.Positions
	for _, mark := range c.Marks {
		at = at.With(mark.Position)
	}
	return at
}

// With returns a copy that stands at an event: the way to remember single events
// of a page. Of several events that were one, a place has all behind it or none;
// so it is taken with the last of them, whose Sub+1 is SubCount.
func (c Checkpoint) With(recorded *persistence.Recorded) Checkpoint {
	return c.with(Mark{recorded.Position, recorded.ID})
}

func (c Checkpoint) with(mark Mark) Checkpoint {
	next := Checkpoint{Journal: c.Journal, Marks: slices.Clone(c.Marks)}
	at, found := slices.BinarySearchFunc(next.Marks, mark.Position.Part, func(m Mark, part uint16) int { return int(m.Position.Part) - int(part) })
	if found {
		next.Marks[at] = mark
	} else {
		next.Marks = slices.Insert(next.Marks, at, mark)
	}
	return next
}

// version begins the text of a checkpoint, and changes with its form.
const version = "v1"

// String is the form to store, which [ParseCheckpoint] reads:
//
//	v1:<journal>:<partition>=<offset>@<event id>,…
func (c Checkpoint) String() string {
	var text strings.Builder
	fmt.Fprintf(&text, "%s:%s:", version, persistence.EventID(c.Journal))
	for i, mark := range c.Marks {
		if i > 0 {
			text.WriteByte(',')
		}
		fmt.Fprintf(&text, "%d=%d@%s", mark.Position.Part, mark.Position.Offset, mark.EventID)
	}
	return text.String()
}

// ParseCheckpoint reads the form that [Checkpoint.String] prints, and nothing
// else: anything that it would not print is a [*persistence.InvalidError].
func ParseCheckpoint(text string) (Checkpoint, error) {
	begins, rest, _ := strings.Cut(text, ":")
	if begins != version {
		return Checkpoint{}, invalid("is of a form that is not known here")
	}
	journal, marks, found := strings.Cut(rest, ":")
	id, err := persistence.ParseEventID(journal)
	if err != nil || !found {
		return Checkpoint{}, invalid("names no journal")
	}
	c := Checkpoint{Journal: persistence.JournalID(id)}
	for field := range strings.SplitSeq(marks, ",") {
		if marks == "" {
			break
		}
		mark, ok := parseMark(field)
		if !ok {
			return Checkpoint{}, invalid("has a place that cannot be read")
		}
		c.Marks = append(c.Marks, mark)
	}
	if c.isZero() || c.String() != text || !ascending(c.Marks) {
		return Checkpoint{}, invalid("is not written as checkpoints are")
	}
	return c, nil
}

func parseMark(text string) (mark Mark, ok bool) {
	part, rest, _ := strings.Cut(text, "=")
	offset, id, _ := strings.Cut(rest, "@")
	number, err := strconv.ParseUint(part, 10, 16)
	if err != nil {
		return Mark{}, false
	}
	mark.Position.Part = uint16(number)
	if mark.Position.Offset, err = strconv.ParseInt(offset, 10, 64); err != nil || mark.Position.Offset <= 0 {
		return Mark{}, false
	}
	mark.EventID, err = persistence.ParseEventID(id)
	return mark, err == nil
}

func ascending(marks []Mark) bool {
	for i := 1; i < len(marks); i++ {
		if marks[i].Position.Part <= marks[i-1].Position.Part {
			return false
		}
	}
	return true
}

func invalid(reason string) error {
	return &persistence.InvalidError{Field: "checkpoint", Reason: reason}
}
