package tail

import "github.com/stele-es/stele/persistence"

// covers reports whether p has come at least as far as q in every partition.
func covers(p, q persistence.Positions) bool {
	for part, offset := range q {
		if p.Of(uint16(part)).Offset < offset { //nolint:gosec // partitions are numbered by it
			return false
		}
	}
	return true
}

// merge returns a new place that has come as far as the farther of the two in
// every partition.
func merge(p, q persistence.Positions) persistence.Positions {
	merged := make(persistence.Positions, max(len(p), len(q)))
	copy(merged, p)
	for part, offset := range q {
		merged[part] = max(merged[part], offset)
	}
	return merged
}
