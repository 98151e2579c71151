package actors

import "sync/atomic"

type stats struct {
	recoveries, passivations, rebuilds, conflicts, stale, unknown, panics atomic.Uint64

	snapshots, snapshotsDropped, snapshotsIgnored, unlogged atomic.Uint64

	openLists, openListsIgnored atomic.Uint64
}

// Stats are counters of a [System] since it was opened, and what it holds now.
type Stats struct {
	// Active is the number of aggregates in memory, InFlight that of commands taken
	// and not answered, and InFlightBytes the size of those.
	Active, InFlight, InFlightBytes int
	// Recoveries counts states that were read, Passivations activations that ended.
	Recoveries, Passivations uint64
	// Rebuilds counts states that were dropped and read again; Conflicts and Stale those
	// of them that another writer caused: an append has shown it, or a proof, see [Fresh].
	Rebuilds, Conflicts, Stale uint64
	// Unknown counts commands whose events the journal may have stored or not,
	// Panics those whose handler panicked.
	Unknown, Panics uint64
	// Snapshots counts those that were written, SnapshotsDropped those that were not
	// because of an error or of too many at once, SnapshotsIgnored those that were
	// read and of no use.
	Snapshots, SnapshotsDropped, SnapshotsIgnored uint64
	// Unlogged counts commands that the log of their kind does not hold.
	Unlogged uint64
	// Pending is about how many commands that aggregates have sent are not done, those
	// that are due later included; see [Config.MaxPending].
	Pending int
	// OpenLists counts lists of what is open that were kept in the journal, so that the
	// next start need not read all of it; OpenListsIgnored those that were read and of
	// no use.
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
