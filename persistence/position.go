package persistence

import "fmt"

// Position is a place in the global sequence. Offsets count 1, 2, 3… inside one
// partition, without gap, in commit order; the zero Position stands before the
// first event of partition 0. Positions of different partitions have no order.
type Position struct {
	Part   uint16 // the partition; there is one, 0
	Offset int64  // from 1; 0 is before the first
}

// String prints "42", or "3:42" in another partition than 0.
func (p Position) String() string {
	if p.Part == 0 {
		return fmt.Sprintf("%d", p.Offset)
	}
	return fmt.Sprintf("%d:%d", p.Part, p.Offset)
}

// Positions is one place in every partition: the index is the partition, the
// value its offset. A partition beyond the end stands at 0, so the nil
// Positions is the beginning of the journal.
type Positions []int64

// Of returns the place in one partition.
func (p Positions) Of(part uint16) Position {
	if int(part) >= len(p) {
		return Position{Part: part}
	}
	return Position{Part: part, Offset: p[part]}
}

// Covers reports whether an event at this position lies at or before p.
func (p Positions) Covers(position Position) bool {
	return p.Of(position.Part).Offset >= position.Offset
}

// With returns a copy of p that stands at position in its partition.
func (p Positions) With(position Position) Positions {
	next := make(Positions, max(len(p), int(position.Part)+1))
	copy(next, p)
	next[position.Part] = position.Offset
	return next
}
