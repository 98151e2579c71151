package projections

import (
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Reading says what a projection reads.
type Reading struct {
	// Name and Version are those of the projection.
	Name    string
	Version int
	// Kinds are those that [FromKinds] names, Streams those that [FromStreams] does; none
	// is no such choice.
	Kinds   []string
	Streams []persistence.StreamID
	// Types are the events that it has an [On] for, as it decodes them; none when it
	// handles every event, and of a [Reactor].
	Types []*codec.Type
}

// Readings returns what projections read, for those who compare it with what is stored.
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
