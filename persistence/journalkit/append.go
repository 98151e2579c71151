package journalkit

import "github.com/stele-es/stele/persistence"

// GiveIDs gives each event of an append an id, unless the caller has chosen them, which
// named reports: then duplicates must be looked for. It writes to the events of the append,
// which must not be the caller's when these may be used again.
func GiveIDs(a *persistence.Append) (named bool) {
	if a.Named() {
		return true
	}
	for i := range a.Events {
		a.Events[i].ID = persistence.NewEventID()
	}
	return false
}
