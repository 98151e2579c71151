package journaltest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Run tests a journal that is gone when it is closed. Every call of open returns
// a new, empty journal of one partition; the suite closes it. What else must go
// belongs to t.Cleanup. Journals are opened side by side, about 180 in all.
func Run(t *testing.T, open func(testing.TB) persistence.Journal) {
	t.Helper()
	newSuite(Durable{Store: func(testing.TB) func(testing.TB) persistence.Journal { return open }}).run(t)
}

// Durable describes a journal whose events outlive it. The zero value of each
// field is an ability that is declared absent, and its cases do not run.
type Durable struct {
	// Store makes a new, empty store and returns how to open it. The suite opens a
	// store again only after the earlier journal was closed or crashed, and closes
	// what it opened; removing the store belongs to t.Cleanup. It must be set.
	Store func(testing.TB) (open func(testing.TB) persistence.Journal)
	// Crash ends a journal as the death of its process would: nothing is flushed and
	// no farewell is said. Calls under way may fail in any way, but they return, and
	// the journal writes nothing more once Crash has returned. The suite does not
	// close what it has crashed.
	Crash func(testing.TB, persistence.Journal)
	// Damage changes the stored state of a stream's snapshot behind the back of the
	// open journal, as a failing disk would.
	Damage func(testing.TB, persistence.Journal, persistence.StreamID)
	// Replace puts another, empty journal into the store of the open one, by means that
	// are not the journal's: its tables are emptied, all numbers begin anew, and it has
	// another identity.
	Replace func(testing.TB, persistence.Journal)
}

// Run tests the journal with all cases of [Run], and that it keeps what it has
// acknowledged when it is closed, crashed and opened again.
func (d Durable) Run(t *testing.T) {
	t.Helper()
	s := newSuite(d)
	s.survives = true
	s.run(t)
}

// suite is what the cases know of the journal under test.
type suite struct {
	Durable
	survives bool
	// patience bounds each case, so that a journal that hangs fails.
	patience time.Duration
}

func newSuite(d Durable) suite { return suite{Durable: d, patience: time.Minute} }

// cases maps what a journal must do to the check that it does.
type cases map[string]func(*testing.T, suite)

func (s suite) run(t *testing.T) {
	t.Helper()
	all := s.cases(t)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all[name](t, s)
		})
	}
}

// cases are those that the journal's abilities call for.
func (s suite) cases(t *testing.T) cases {
	t.Helper()
	probe := s.open(t).Journal
	all := cases{}
	for _, group := range []struct {
		called bool
		cases  cases
	}{
		{true, appending},
		{true, expecting},
		{true, naming},
		{true, reading},
		{true, sequence},
		{true, waiting},
		{true, limits},
		{true, refusing},
		{true, spelling},
		{true, tagging},
		{true, roundTrips},
		{true, lives},
		{true, creating},
		{true, deleting},
		{true, truncating},
		{true, listing},
		{true, filtering},
		{true, choosing},
		{true, backward},
		{true, concurrency},
		{true, following},
		{true, linearity},
		{true, leaving},
		{true, closing},
		{true, models},
		{has[persistence.Submitter](probe), submitting},
		{has[persistence.PageReader](probe), paging},
		{has[persistence.Transactor](probe), transacting},
		{has[persistence.Transactor](probe), deadlines},
		{has[persistence.Scavenger](probe), scavenging},
		{has[persistence.Importer](probe), importing},
		{has[persistence.Snapshots](probe), snapshotting},
		{has[persistence.Snapshots](probe) && s.Damage != nil, damaging},
		{has[persistence.Schemas](probe), describing},
		{has[persistence.Checker](probe), checking},
		{s.survives, reopening},
		{s.survives && has[persistence.Scavenger](probe), reopeningHusks},
		{s.survives && s.Crash != nil, crashing},
		{s.survives && s.Replace != nil, replacing},
	} {
		if group.called {
			maps.Copy(all, group.cases)
		}
	}
	return all
}

// open returns a journal on a store of its own.
func (s suite) open(t *testing.T) journal {
	t.Helper()
	return s.use(t, s.Store(t)(t))
}

// use bounds a journal by the suite's patience and closes it at the end.
func (s suite) use(t *testing.T, opened persistence.Journal) journal {
	t.Helper()
	t.Cleanup(func() {
		if err := opened.Close(); err != nil {
			t.Errorf("close the journal: %v", err)
		}
	})
	return s.bind(t, opened)
}

func (s suite) bind(t *testing.T, opened persistence.Journal) journal {
	ctx, cancel := context.WithTimeout(t.Context(), s.patience)
	t.Cleanup(cancel)
	return journal{Journal: opened, t: t, ctx: ctx}
}
