package transfer_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/transfer"
)

var start = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

// aged fills streams with an event a day each.
func aged(t *testing.T, journal persistence.Journal, days int, streams ...persistence.StreamID) {
	t.Helper()
	for day := range days {
		var events []persistence.Recorded
		for _, stream := range streams {
			e := persistence.Recorded{Stream: stream, Version: persistence.Version(day + 1), At: start.AddDate(0, 0, day)}
			e.ID, e.Type, e.Payload = persistence.NewEventID(), "t", fmt.Appendf(nil, `{"day":%d}`, day)
			events = append(events, e)
		}
		_, err := journal.(persistence.Importer).Import(t.Context(), events)
		require.NoError(t, err)
	}
}

func firsts(t *testing.T, journal persistence.Journal) map[persistence.StreamID]persistence.Version {
	t.Helper()
	found := map[persistence.StreamID]persistence.Version{}
	for info, err := range journal.List(t.Context(), persistence.ListOptions{}) {
		require.NoError(t, err)
		found[info.Stream] = info.First
	}
	return found
}

func TestRetain(t *testing.T) {
	t.Parallel()
	sessions := transfer.Choice{Categories: []string{"session"}}
	before := start.AddDate(0, 0, 6) // 6 of 10 events are older
	cases := map[string]struct {
		options transfer.RetainOptions
		one     persistence.Version // the first version of session-1 afterwards
		held    string
	}{
		"by age":                          {transfer.RetainOptions{Before: before, Unfolded: true}, 7, ""},
		"by number":                       {transfer.RetainOptions{Keep: 3, Unfolded: true}, 8, ""},
		"both must allow it, age":         {transfer.RetainOptions{Before: before, Keep: 3, Unfolded: true}, 7, ""},
		"both must allow it, number":      {transfer.RetainOptions{Before: before, Keep: 8, Unfolded: true}, 3, ""},
		"more than there are":             {transfer.RetainOptions{Keep: 20, Unfolded: true}, 1, ""},
		"the newest stays":                {transfer.RetainOptions{Before: start.AddDate(9, 0, 0), Unfolded: true}, 10, ""},
		"a floor":                         {transfer.RetainOptions{Before: before, Unfolded: true, Floors: map[string]persistence.Positions{"balances": {13}, "later": {99}}}, 6, "balances"},
		"a floor at the beginning":        {transfer.RetainOptions{Before: before, Unfolded: true, Floors: map[string]persistence.Positions{"new": nil}}, 1, "new"},
		"a state without a snapshot":      {transfer.RetainOptions{Before: before, Fingerprints: map[string]string{"session": "f2"}}, 1, "snapshot"},
		"a kind that nobody speaks for":   {transfer.RetainOptions{Before: before}, 1, "snapshot"},
		"a snapshot":                      {transfer.RetainOptions{Before: before, Fingerprints: map[string]string{"session": "f1"}}, 4, "snapshot"},
		"a snapshot and an earlier floor": {transfer.RetainOptions{Before: before, Fingerprints: map[string]string{"session": "f1"}, Floors: map[string]persistence.Positions{"p": {4}}}, 3, "p"},
	}
	for kind, open := range journals {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for what, c := range cases {
				if kind != "memory" && c.one != 3 {
					continue // the rules are the same on all; these see what the journals answer
				}
				journal := open(t)
				aged(t, journal, 10, "session-1", "session-2", "account-1")
				info, err := journal.Stream(t.Context(), "session-1")
				require.NoError(t, err)
				for recorded, err := range journal.Read(t.Context(), "session-1", persistence.ReadOptions{From: 4, Limit: 1}) {
					require.NoError(t, err)
					require.NoError(t, journal.(persistence.Snapshots).SaveSnapshot(t.Context(), persistence.Snapshot{
						Stream: info.Stream, Version: 4, EventID: recorded.ID, Fingerprint: "f1", State: []byte("s"),
					}))
				}
				c.options.Choice = sessions
				dry := c.options
				dry.DryRun = true
				planned, err := transfer.Retain(t.Context(), journal, dry)
				require.NoError(t, err)
				require.Equal(t, map[persistence.StreamID]persistence.Version{"session-1": 1, "session-2": 1, "account-1": 1}, firsts(t, journal), "a dry run changes nothing")

				plan, err := transfer.Retain(t.Context(), journal, c.options)

				require.NoError(t, err)
				require.Equal(t, planned, plan)
				after := firsts(t, journal)
				require.Equal(t, c.one, after["session-1"], "%s: %+v", what, plan)
				require.Equal(t, persistence.Version(1), after["account-1"], what)
				if c.held != "" {
					require.Equal(t, c.held, plan.Cuts[0].Held, what)
				}
				require.EqualValues(t, after["session-1"]-1+after["session-2"]-1, plan.Events)
				again, err := transfer.Retain(t.Context(), journal, c.options)
				require.NoError(t, err)
				require.Zero(t, again.Events, what)
			}
		})
	}
}

// Age is no matter of one reading of a clock: neither that of the machine which retains,
// nor that of a few events, lets go what many events of the journal say is young.
func TestRetainOutlivesWrongClocks(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		now   time.Duration // of the journal, as the clock of this machine sees it
		ahead int           // of the newest events, that were recorded a year ahead
		gone  persistence.Version
	}{
		"right":                        {0, 0, 30},
		"this machine a week ahead":    {-7 * day, 0, 30},
		"this machine ten years ahead": {-3650 * day, 0, 30},
		"this machine a week behind":   {7 * day, 0, 23},
		"a few events a year ahead":    {-365 * day, 5, 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				journal := newMemory()
				var events []persistence.Recorded
				record := func(stream persistence.StreamID, version int, at time.Time) {
					e := persistence.Recorded{Stream: stream, Version: persistence.Version(version), At: at}
					e.ID, e.Type, e.Payload = persistence.NewEventID(), "t", []byte("{}")
					events = append(events, e)
				}
				now := time.Now().Add(c.now)
				for i := range 60 { // an event a day, the newest is of now
					record("session-1", i+1, now.Add(-time.Duration(59-i)*day))
				}
				for i := range 60 { // and what happens elsewhere
					at := now
					if i >= 60-c.ahead {
						at = at.Add(365 * day)
					}
					record("account-1", i+1, at)
				}
				_, err := journal.Import(t.Context(), events)
				require.NoError(t, err)
				options := transfer.RetainOptions{Choice: transfer.Choice{Categories: []string{"session"}}, OlderThan: 29 * day, Unfolded: true}

				_, err = transfer.Retain(t.Context(), journal, options)

				require.NoError(t, err)
				require.Equal(t, c.gone+1, firsts(t, journal)["session-1"])
				options.Before = now.Add(-50 * day)
				plan, err := transfer.Retain(t.Context(), journal, options)
				require.NoError(t, err)
				require.Zero(t, plan.Events, "both must allow it")
			})
		})
	}
}

// A journal that says little of the time loses nothing by age.
func TestRetainByAgeOfFewEvents(t *testing.T) {
	t.Parallel()
	for kind, open := range journals {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			journal := open(t)
			options := transfer.RetainOptions{Choice: transfer.Choice{Categories: []string{"session"}}, OlderThan: time.Hour, Unfolded: true}
			plan, err := transfer.Retain(t.Context(), journal, options)
			require.NoError(t, err)
			require.Zero(t, plan.Events, "it is empty")
			aged(t, journal, 31, "session-1")
			plan, err = transfer.Retain(t.Context(), journal, options)
			require.NoError(t, err)
			require.Zero(t, plan.Events)
			aged(t, journal, 60, "account-1")
			options.OlderThan = 30 * 24 * time.Hour // counted from day 28, which the newest 32 begin with

			plan, err = transfer.Retain(t.Context(), journal, options)

			require.NoError(t, err)
			require.Zero(t, plan.Events)
			options.OlderThan = 20 * 24 * time.Hour
			plan, err = transfer.Retain(t.Context(), journal, options)
			require.NoError(t, err)
			require.EqualValues(t, 8, plan.Events)
		})
	}
}

// A snapshot of another state, or of events that are not there, is none.
func TestRetainDoesNotTrustSnapshots(t *testing.T) {
	t.Parallel()
	journal := newMemory()
	aged(t, journal, 10, "session-1")
	require.NoError(t, journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "session-1", Version: 5, EventID: persistence.NewEventID(), Fingerprint: "f1"}))

	plan, err := transfer.Retain(t.Context(), journal, transfer.RetainOptions{
		Choice: transfer.Choice{Streams: []persistence.StreamID{"session-1"}}, Keep: 1, Fingerprints: map[string]string{"session": "f1"},
	})

	require.NoError(t, err)
	require.Equal(t, transfer.Plan{Cuts: []transfer.Cut{{Stream: "session-1", First: 1, Before: 1, Held: "snapshot"}}}, plan)
}

// What was truncated is in the archive, which imports, and is emptied.
func TestRetainArchives(t *testing.T) {
	t.Parallel()
	for kind, open := range journals {
		for _, format := range []transfer.Format{transfer.NDJSON, transfer.CloudEvents} {
			if kind != "memory" && format != transfer.NDJSON {
				continue
			}
			journal, restored := open(t), newMemory()
			aged(t, journal, 30, "session-1", "session-2", "account-1")
			whole := newMemory()
			_, err := transfer.Copy(t.Context(), journal, whole, transfer.CopyOptions{})
			require.NoError(t, err)
			path := filepath.Join(t.TempDir(), "archive")
			for keep := 20; keep > 0; keep -= 10 { // the same file again
				file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
				require.NoError(t, err)
				options := transfer.RetainOptions{Choice: transfer.Choice{Categories: []string{"session"}}, Keep: keep, Unfolded: true, Archive: file, Format: format, Scavenge: true}
				plan, err := transfer.Retain(t.Context(), journal, options)
				require.NoError(t, err)
				require.EqualValues(t, 20, plan.Events)
				require.EqualValues(t, 20, plan.Emptied)
				require.NoError(t, file.Close())
			}
			archive, err := os.ReadFile(path)
			require.NoError(t, err)

			summary, err := transfer.Import(t.Context(), bytes.NewReader(archive), restored, transfer.ImportOptions{})

			require.NoError(t, err, kind)
			require.EqualValues(t, 40, summary.Events)
			rest := export(t, whole, transfer.ExportOptions{Choice: transfer.Choice{Categories: []string{"session"}}})
			_, err = transfer.Import(t.Context(), bytes.NewReader(rest), restored, transfer.ImportOptions{})
			require.NoError(t, err, "what is archived is what was there")
			report, err := transfer.Verify(t.Context(), whole, restored, transfer.Choice{Categories: []string{"session"}})
			require.NoError(t, err)
			require.True(t, report.Equal)
		}
	}
}

// volatile is a file whose bytes are safe once they are flushed.
type volatile struct {
	bytes.Buffer
	safe int
	fail error
}

func (v *volatile) Sync() error {
	if v.fail == nil {
		v.safe = v.Len()
	}
	return v.fail
}

// crashing is a journal that dies before it truncates a stream.
type crashing struct {
	persistence.Journal
	left int
}

var errCrash = errors.New("crash")

func (c *crashing) Truncate(ctx context.Context, stream persistence.StreamID, before persistence.Version) (persistence.Version, error) {
	if c.left--; c.left < 0 {
		return 0, errCrash
	}
	return c.Journal.Truncate(ctx, stream, before)
}

// Wherever it ends, what can no longer be read is safe in the archive.
func TestRetainCrashes(t *testing.T) {
	t.Parallel()
	journal := newMemory()
	names := []persistence.StreamID{"session-1", "session-2", "session-3"}
	aged(t, journal, 10, names...)
	archive := &volatile{}
	options := transfer.RetainOptions{Choice: transfer.Choice{Categories: []string{"session"}}, Keep: 4, Unfolded: true, Archive: archive}

	archive.fail = errFull
	_, err := transfer.Retain(t.Context(), journal, options)
	require.ErrorIs(t, err, errFull)
	for _, first := range firsts(t, journal) {
		require.Equal(t, persistence.Version(1), first, "nothing goes before the archive is safe")
	}
	archive.fail = nil
	for survived := range 4 {
		archive.Truncate(archive.safe)
		_, err = transfer.Retain(t.Context(), &crashing{journal, survived}, options)
		if err != nil {
			require.ErrorIs(t, err, errCrash)
		}
		restored := newMemory()
		_, importErr := transfer.Import(t.Context(), bytes.NewReader(archive.Bytes()[:archive.safe]), restored, transfer.ImportOptions{})
		if err != nil {
			require.ErrorContains(t, importErr, "end is missing", "the file has no end yet")
		} else {
			require.NoError(t, importErr)
		}
		for stream, first := range firsts(t, journal) {
			if first == 1 {
				continue
			}
			info, err := restored.Stream(t.Context(), stream)
			require.NoError(t, err)
			require.GreaterOrEqual(t, info.Version, first-1, "what cannot be read is in the archive")
		}
	}
	require.NoError(t, err)
	require.Equal(t, map[persistence.StreamID]persistence.Version{names[0]: 7, names[1]: 7, names[2]: 7}, firsts(t, journal))
}

// rival truncates and empties a stream while it is archived.
type rival struct {
	persistence.Journal
	reads int
}

func (r *rival) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	if r.reads++; r.reads == 2 {
		_, _ = r.Truncate(ctx, stream, 3)
		_, _ = r.Journal.(persistence.Scavenger).Scavenge(ctx, stream)
	}
	return r.Journal.Read(ctx, stream, options)
}

func TestRetainLeavesWhatSomebodyElseTruncates(t *testing.T) {
	t.Parallel()
	journal := newMemory()
	aged(t, journal, 10, "session-1")
	archive := &volatile{}

	_, err := transfer.Retain(t.Context(), &rival{Journal: journal}, transfer.RetainOptions{
		Choice: transfer.Choice{Streams: []persistence.StreamID{"session-1"}}, Keep: 4, Unfolded: true, Archive: archive,
	})

	require.NoError(t, err)
	require.Equal(t, persistence.Version(3), firsts(t, journal)["session-1"], "what is not archived is not truncated")
}

func TestRetainRefuses(t *testing.T) {
	t.Parallel()
	some := transfer.Choice{Categories: []string{"session"}}
	for field, options := range map[string]transfer.RetainOptions{
		"choice":     {Keep: 1},
		"before":     {Choice: some},
		"older than": {Choice: some, OlderThan: -1},
		"keep":       {Choice: some, Keep: -1},
		"format":     {Choice: some, Keep: 1, Format: 9},
		"scavenge":   {Choice: some, Keep: 1, Scavenge: true},
		"category":   {Choice: transfer.Choice{Categories: []string{""}}, Keep: 1},
	} {
		_, err := transfer.Retain(t.Context(), only{newMemory()}, options)
		wrong, ok := errors.AsType[*persistence.InvalidError](err)
		require.True(t, ok, "%s: %v", field, err)
		require.Equal(t, field, wrong.Field)
	}
}
