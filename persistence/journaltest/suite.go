package journaltest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Run tests a journal that loses its events when it is closed. Every call of open must
// return a new, empty journal of one partition. The suite closes it; open leaves everything
// else that must be removed to t.Cleanup. The suite opens about 180 journals, many of them
// at the same time. For a journal that keeps its events, use [Durable].
func Run(t *testing.T, open func(testing.TB) persistence.Journal) {
	t.Helper()
	newSuite(Durable{Store: func(testing.TB) func(testing.TB) persistence.Journal { return open }}).run(t)
}

// Durable describes a journal that keeps its events after it is closed. A field that is not
// set means that the suite cannot do this to the journal; its cases do not run.
type Durable struct {
	// Store makes a new, empty store and returns a function that opens a journal on it. It
	// must be set, and removes the store in t.Cleanup. The suite opens a store again only
	// after the earlier journal was closed or crashed, and closes the journals it opened.
	Store func(testing.TB) (open func(testing.TB) persistence.Journal)
	// Crash ends a journal as the death of its process would: it flushes nothing and ends
	// no connection properly. Calls under way may fail in any way, but they must return,
	// and the journal must write nothing after Crash has returned. The suite does not close
	// a journal that it has crashed.
	Crash func(testing.TB, persistence.Journal)
	// Damage changes the stored state of a stream's snapshot without the knowledge of the
	// open journal, as a failing disk would.
	Damage func(testing.TB, persistence.Journal, persistence.StreamID)
	// Replace puts another, empty journal into the store of the open one, from outside: the
	// tables are empty, all numbers begin again, and the identity is another.
	Replace func(testing.TB, persistence.Journal)
}

// Run tests the journal with all cases of the function [Run], and with those of durable
// journals: it must keep acknowledged events when it is closed, crashed and opened again.
func (d Durable) Run(t *testing.T) {
	t.Helper()
	s := newSuite(d)
	s.survives = true
	s.run(t)
}

// suite is the knowledge of the cases about the journal under test.
type suite struct {
	Durable
	survives bool
	// patience limits the time of each case, so that a journal that hangs fails.
	patience time.Duration
}

func newSuite(d Durable) suite { return suite{Durable: d, patience: time.Minute} }

// cases maps sentences that a journal must make true to the checks that it does.
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

// cases returns those that fit the abilities of the journal.
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

// use limits the time of a case with this journal, and closes the journal at the end.
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
