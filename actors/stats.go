package actors

import "sync/atomic"

type stats struct {
	recoveries, passivations, rebuilds, conflicts, stale, unknown, panics atomic.Uint64

	snapshots, snapshotsDropped, snapshotsIgnored, unlogged atomic.Uint64

	openLists, openListsIgnored atomic.Uint64
}

// Stats are counters of a [System] since it was opened, and what it holds now.
type Stats struct {
	// Active is the number of aggregates in memory. InFlight is the number of commands that
	// wait for their answer, InFlightBytes their size.
	Active, InFlight, InFlightBytes int
	// Recoveries counts states that were read, Passivations activations that have ended.
	Recoveries, Passivations uint64
	// Rebuilds counts states that were dropped and read again. Conflicts and Stale count
	// those that another writer has caused, as an append has shown, or a proof, see [Fresh].
	Rebuilds, Conflicts, Stale uint64
	// Unknown counts commands with an unknown outcome: their events may be stored or not.
	// Panics counts commands whose handler panicked.
	Unknown, Panics uint64
	// Snapshots counts snapshots that were written. SnapshotsDropped counts those that were
	// not, because of an error or of too many at once. SnapshotsIgnored counts those that
	// were read and not used.
	Snapshots, SnapshotsDropped, SnapshotsIgnored uint64
	// Unlogged counts commands that the log of their kind does not hold.
	Unlogged uint64
	// Pending is approximately the number of sent commands without an outcome, timers
	// included; see [Config.MaxPending].
	Pending int
	// OpenLists counts lists of open sends that were written to the journal, so that the next
	// start need not read all of it. OpenListsIgnored counts lists that were read and not used.
	OpenLists, OpenListsIgnored uint64
}

// Stats returns the counters.
func (s *System) Stats() Stats {
	return Stats{
		Active: int(s.directory.active.Load()), InFlight: int(s.inFlight.commands.Load()), InFlightBytes: int(s.inFlight.bytes.Load()),
		Recoveries: s.stats.recoveries.Load(), Passivations: s.stats.passivations.Load(),
		Rebuilds: s.stats.rebuilds.Load(), Conflicts: s.stats.conflicts.Load(), Stale: s.stats.stale.Load(),
		Unknown: s.stats.unknown.Load(), Panics: s.stats.panics.Load(),
		Snapshots: s.stats.snapshots.Load(), SnapshotsDropped: s.stats.snapshotsDropped.Load(),
		SnapshotsIgnored: s.stats.snapshotsIgnored.Load(), Unlogged: s.stats.unlogged.Load(),
		Pending: s.pending(), OpenLists: s.stats.openLists.Load(), OpenListsIgnored: s.stats.openListsIgnored.Load(),
	}
}
