package projections

import (
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Reading says what a projection reads.
type Reading struct {
	// Name and Version are the name and the version of the projection.
	Name    string
	Version int
	// Kinds are those that [FromKinds] names, Streams those that [FromStreams] does; none
	// is no such choice.
	Kinds   []string
	Streams []persistence.StreamID
	// Types are the types of the events that have an [On]; none when it handles every
	// event, and for a [Reactor].
	Types []*codec.Type
}

// Readings returns what projections read, to compare it with what is stored.
func Readings(all ...Projection) []Reading {
	var readings []Reading
	for _, projection := range all {
		if projection == nil {
			continue
		}
		s := projection.bound().spec()
		readings = append(readings, Reading{s.name, s.version, slices.Clone(s.source.kinds), slices.Clone(s.source.streams), projection.bound().events()})
	}
	return readings
}
