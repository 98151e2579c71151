package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/persistence/transfer"
)

// equal requires that journals hold the same at the same places.
func equal(t *testing.T, from, to persistence.Journal) transfer.Report {
	t.Helper()
	report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
	require.NoError(t, err)
	require.True(t, report.Equal, "%+v", report.Differences)
	require.True(t, report.SamePositions)
	require.Equal(t, report.From, report.To)
	return report
}

func TestCopy(t *testing.T) {
	t.Parallel()
	for source, open := range journals {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			from := open(t)
			live(t, from, 21, 200)
			for target, open := range journals {
				to := open(t)
				_, err := to.(persistence.Schemas).RegisterSchema(t.Context(), persistence.JSON, []byte("other"))
				require.NoError(t, err)
				told := 0

				summary, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{Progress: func(transfer.Summary) { told++ }})

				require.NoError(t, err, target)
				require.True(t, summary.Whole)
				require.Positive(t, told)
				report := equal(t, from, to)
				require.Equal(t, summary.Events, report.To.Events)

				again, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
				require.NoError(t, err)
				require.Zero(t, again.Events, "what is there is not read again")
				require.Equal(t, summary.Next, again.Next)
			}
			// It goes on with what has come since.
			to := newMemory()
			for seed := range uint64(5) {
				live(t, from, seed, 30)
				_, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
				require.NoError(t, err)
				scavenge(t, from, to)
				equal(t, from, to)
			}
		})
	}
}

// A process that copies is killed again and again; the copy is what was copied.
func TestLongCopyIsKilled(t *testing.T) {
	t.Parallel()
	path, url := filepath.Join(t.TempDir(), "journal"), pgtest.Database(t)
	from, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Relaxed: true})
	require.NoError(t, err)
	live(t, from, 31, 300)
	for i := range 80 {
		a := persistence.Append{Stream: persistence.StreamID(fmt.Sprintf("many-%d", i%7)), Expected: persistence.Any, Events: make([]persistence.Event, 200)}
		for k := range a.Events {
			a.Events[k] = persistence.Event{ID: persistence.NewEventID(), Type: "t", Payload: fmt.Appendf(nil, `{"n":%d}`, k)}
		}
		_, err := from.Append(t.Context(), a)
		require.NoError(t, err)
	}
	live(t, from, 32, 100)
	require.NoError(t, from.Close())
	config := postgres.Config{URL: url, Durability: postgres.Relaxed}
	require.NoError(t, postgres.Migrate(t.Context(), config))

	rounds := 0
	for done := false; !done; rounds++ {
		require.Less(t, rounds, 100)
		child := killtest.Start(t, "copy", path, url)
		for range 3 { // pages, and then in the midst of one
			child.Line()
		}
		child.Kill()
		done = child.Wait() == nil
	}

	require.Greater(t, rounds, 3, "it was killed at all")
	to, err := postgres.Open(t.Context(), config)
	require.NoError(t, err)
	defer to.Close()
	require.Greater(t, equal(t, openSQLite(t, path), to).To.Events, int64(16_000))
}

func TestCopyMeetsSomebodyElse(t *testing.T) {
	t.Parallel()
	for target, open := range journals {
		from, to := newMemory(), open(t)
		live(t, from, 41, 100)
		_, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
		require.NoError(t, err)
		mine := persistence.Event{Type: "mine"}
		for _, stream := range []persistence.StreamID{"mine-1", "account-ann"} {
			_, err = to.Append(t.Context(), persistence.Append{Stream: stream, Expected: persistence.Any, Events: []persistence.Event{mine}})
			require.NoError(t, err)
		}
		before, _ := all(t, to)
		_, err = from.Append(t.Context(),
			persistence.Append{Stream: "other-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "other"}}},
			persistence.Append{Stream: "account-ann", Expected: persistence.Any, Events: []persistence.Event{{Type: "theirs"}}})
		require.NoError(t, err)

		_, err = transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})

		conflict, ok := errors.AsType[*persistence.ConflictError](err)
		require.True(t, ok, "%s: %v", target, err)
		require.EqualValues(t, "account-ann", conflict.Stream)
		after, _ := all(t, to)
		require.Equal(t, before, after, "nothing is lost and nothing is half there")
		report, err := transfer.Verify(t.Context(), from, to, transfer.Choice{})
		require.NoError(t, err)
		require.False(t, report.Equal)
		require.Len(t, report.Differences, 5, "two streams that the copy lacks or has more of, by events and state")

		// A program that has only written to streams of its own is left alone.
		choice := transfer.Choice{Streams: []persistence.StreamID{"other-1"}}
		_, err = transfer.Copy(t.Context(), from, to, transfer.CopyOptions{Choice: choice})
		require.NoError(t, err)
		report, err = transfer.Verify(t.Context(), from, to, choice)
		require.NoError(t, err)
		require.True(t, report.Equal)
		require.False(t, report.SamePositions)
	}
}

func TestCopyFollows(t *testing.T) {
	t.Parallel()
	for target, open := range journals {
		t.Run(target, func(t *testing.T) {
			t.Parallel()
			from, to := newMemory(), open(t)
			live(t, from, 51, 100)
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() {
				_, err := transfer.Copy(ctx, from, to, transfer.CopyOptions{Follow: true})
				ended <- err
			}()
			for seed := range uint64(5) {
				live(t, from, seed, 20)
				head, err := from.Head(t.Context())
				require.NoError(t, err)
				waiting, stop := context.WithTimeout(t.Context(), patience)
				for {
					there, err := to.Head(waiting)
					require.NoError(t, err)
					if there.Of(0) == head.Of(0) {
						break
					}
					require.NoError(t, to.Wait(waiting, there))
				}
				stop()
			}
			cancel()
			require.NoError(t, <-ended)

			_, err := transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
			require.NoError(t, err)
			scavenge(t, from, to)
			equal(t, from, to)
		})
	}
}

func TestCopyRefuses(t *testing.T) {
	t.Parallel()
	journal := newMemory()
	_, err := transfer.Copy(t.Context(), journal, journal, transfer.CopyOptions{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	_, err = transfer.Copy(t.Context(), journal, only{newMemory()}, transfer.CopyOptions{})
	require.ErrorContains(t, err, "cannot take in")
	_, err = transfer.Copy(t.Context(), journal, newMemory(), transfer.CopyOptions{Choice: transfer.Choice{Streams: []persistence.StreamID{""}}})
	require.ErrorIs(t, err, persistence.ErrInvalid)
}

// only is a journal without abilities.
type only struct{ persistence.Journal }

// An id that has no description stays as it is, and is refused where it means
// something else.
func TestSchemasWithoutDescription(t *testing.T) {
	t.Parallel()
	from, to := newMemory(), newMemory()
	_, err := from.Append(t.Context(), persistence.Append{Stream: "s-1", Events: []persistence.Event{{Type: "t", Schema: 1}, {Type: "t", Schema: 7}}})
	require.NoError(t, err)
	_, err = transfer.Copy(t.Context(), from, to, transfer.CopyOptions{})
	require.NoError(t, err)
	equal(t, from, to)

	other := newMemory()
	_, err = other.RegisterSchema(t.Context(), persistence.JSON, []byte("other"))
	require.NoError(t, err)
	_, err = transfer.Copy(t.Context(), from, other, transfer.CopyOptions{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	events, _ := all(t, other)
	require.Empty(t, events)
}

// Each thing that differs is found, in the stream where it does.
func TestVerifyFinds(t *testing.T) {
	t.Parallel()
	base := persistence.Recorded{Stream: "s-1", Version: 1, Named: true}
	base.ID, base.Type, base.Payload, base.Headers, base.Tags = persistence.NewEventID(), "t", []byte("p"), []byte("h"), []string{"a"}
	base.At = base.At.AddDate(2000, 0, 0)
	base.Metadata = persistence.Metadata{"k": persistence.Int(1)}
	state := persistence.StreamInfo{Stream: "s-1", Version: 1, First: 1, Begin: 1, Revision: 1}
	build := func(change func(*persistence.Recorded, *persistence.StreamInfo)) persistence.Journal {
		journal := newMemory()
		event, info := base, state
		change(&event, &info)
		_, err := journal.Import(t.Context(), []persistence.Recorded{event})
		require.NoError(t, err)
		require.NoError(t, journal.ImportStreams(t.Context(), []persistence.StreamInfo{info}))
		return journal
	}
	from := build(func(*persistence.Recorded, *persistence.StreamInfo) {})
	equal(t, from, build(func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Tags = []string{"a"} }))

	for what, change := range map[string]func(*persistence.Recorded, *persistence.StreamInfo){
		"id":      func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.ID = persistence.NewEventID() },
		"type":    func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Type = "u" },
		"payload": func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Payload = []byte("q") },
		"moved":   func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Payload, e.Headers = []byte("ph"), nil },
		"headers": func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Headers = nil },
		"metadata": func(e *persistence.Recorded, _ *persistence.StreamInfo) {
			e.Metadata = persistence.Metadata{"k": persistence.Float(1)}
		},
		"tags":   func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Tags = nil },
		"named":  func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Named = false },
		"time":   func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.At = e.At.AddDate(0, 0, 1) },
		"schema": func(e *persistence.Recorded, _ *persistence.StreamInfo) { e.Schema = 1 },
		"state":  func(_ *persistence.Recorded, i *persistence.StreamInfo) { i.Revision = 2 },
		"more":   func(_ *persistence.Recorded, i *persistence.StreamInfo) { i.Metadata = base.Metadata },
	} {
		report, err := transfer.Verify(t.Context(), from, build(change), transfer.Choice{})
		require.NoError(t, err)
		require.False(t, report.Equal, what)
		require.Len(t, report.Differences, 1, what)
		require.EqualValues(t, "s-1", report.Differences[0].Stream)
	}
	report, err := transfer.Verify(t.Context(), from, newMemory(), transfer.Choice{})
	require.NoError(t, err)
	require.Equal(t, []transfer.Difference{{Stream: "s-1", From: 1, What: "events"}, {Stream: "s-1", From: 1, What: "state"}}, report.Differences)
}
