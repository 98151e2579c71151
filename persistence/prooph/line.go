package prooph

import "github.com/stele-es/stele/persistence"

// line is the state of one stream in the import.
type line struct {
	table int                 // the table that feeds it
	head  persistence.Version // of the stream in the journal
	seen  persistence.Version // the greatest that rows have claimed
	holes []span              // versions below seen that no row has claimed
}

// span is a closed range of versions.
type span struct{ from, to persistence.Version }

// problem is the fault of a claimed version, or 0. A row that claims none
// has the next one.
func (l *line) problem(claimed persistence.Version) Problem {
	switch {
	case claimed == 0 || claimed == l.seen+1:
		return 0
	case claimed > l.seen:
		return Hole
	case l.hole(claimed) >= 0:
		return BackDated
	}
	return Duplicate
}

// pass counts a row as seen.
func (l *line) pass(claimed persistence.Version) {
	switch {
	case claimed == 0:
		l.seen++
	case claimed > l.seen:
		if claimed > l.seen+1 {
			l.holes = append(l.holes, span{l.seen + 1, claimed - 1})
		}
		l.seen = claimed
	default:
		l.fill(claimed)
	}
}

// hole is the index of the hole that a version lies in, or -1. Streams have few.
func (l *line) hole(version persistence.Version) int {
	for i, hole := range l.holes {
		if hole.from <= version && version <= hole.to {
			return i
		}
	}
	return -1
}

func (l *line) fill(version persistence.Version) {
	i := l.hole(version)
	if i < 0 {
		return
	}
	whole := l.holes[i]
	l.holes = append(l.holes[:i], l.holes[i+1:]...)
	for _, rest := range [...]span{{whole.from, version - 1}, {version + 1, whole.to}} {
		if rest.from <= rest.to {
			l.holes = append(l.holes, rest)
		}
	}
}
