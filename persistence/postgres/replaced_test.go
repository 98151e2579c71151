package postgres_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

// Each statement proves what the journal remembers about its tables. When they are emptied or
// made anew while a journal is open, nothing is stored or read under a wrong name, and an event
// of one stream is never stored in another.
func TestTablesAreReplacedUnderAJournal(t *testing.T) {
	t.Parallel()
	replacements := map[string]func(t *testing.T, url string){
		"emptied": func(t *testing.T, url string) {
			t.Helper()
			execute(t, url, "TRUNCATE stele.event, stele.stream, stele.event_key, stele.snapshot RESTART IDENTITY")
		},
		"only the events": func(t *testing.T, url string) { t.Helper(); execute(t, url, "TRUNCATE stele.event") },
		"only the schemas": func(t *testing.T, url string) {
			t.Helper()
			execute(t, url, "TRUNCATE stele.schema RESTART IDENTITY")
		},
		"made anew": func(t *testing.T, url string) {
			t.Helper()
			execute(t, url, "DROP SCHEMA stele CASCADE")
			require.NoError(t, postgres.Migrate(t.Context(), postgres.Config{URL: url}))
		},
		"the journal's own row": func(t *testing.T, url string) { t.Helper(); execute(t, url, "TRUNCATE stele.journal") },
	}
	for name, replace := range replacements {
		for way, protocol := range protocols {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				url := pgtest.URL(t)
				journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, Protocol: protocol})
				for _, stream := range []persistence.StreamID{"plain-0", "plain-1", "plain-2"} {
					require.NoError(t, appendOne(t, journal, stream, persistence.NoStream, "x").Err)
				}
				readAll(t, journal, "plain-0")

				replace(t, url)
				stored := 0
				if name == "emptied" || name == "made anew" {
					after := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
					for _, stream := range []persistence.StreamID{"new-1", "new-2", "new-3"} {
						require.NoError(t, appendOne(t, after, stream, persistence.NoStream, "new").Err)
						stored++
					}
				}
				before := scalar(t, url, "SELECT count(*) FROM stele.event")

				for what, call := range map[string]func() error{
					"append":         func() error { return appendOne(t, journal, "plain-0", persistence.NoStream, "y").Err },
					"append behind":  func() error { return appendOne(t, journal, "plain-0", persistence.Exact(1), "y").Err },
					"append any":     func() error { return appendOne(t, journal, "plain-1", persistence.Any, "y").Err },
					"append to none": func() error { return appendOne(t, journal, "other-1", persistence.NoStream, "y").Err },
					"append nothing": func() error {
						outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "plain-1", Expected: persistence.Any})
						if err == nil {
							err = outcomes[0].Err
						}
						return err
					},
					"transact": func() error {
						return journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
							_, err := tx.Append(one("plain-1", persistence.Any))
							return err
						})
					},
					"read":     func() error { _, err := tryRead(t, journal, "plain-0"); return err },
					"read all": func() error { return firstError(journal.ReadAll(t.Context(), persistence.ReadAllOptions{})) },
					"pages": func() error {
						_, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "plain-0", Limit: 1}})
						return err
					},
					"stream": func() error { _, err := journal.Stream(t.Context(), "plain-0"); return err },
					"head":   func() error { _, err := journal.Head(t.Context()); return err },
					"create": func() error { return journal.Create(t.Context(), "plain-9", nil) },
					"delete": func() error { _, err := journal.Delete(t.Context(), "new-1", persistence.Any); return err },
					"schema": func() error {
						_, err := journal.RegisterSchema(t.Context(), persistence.JSON, []byte("{}"))
						return err
					},
					"schemas":  func() error { _, err := journal.Schemas(t.Context()); return err },
					"import":   func() error { return imports(t, journal, "plain-0") },
					"list":     func() error { return firstError(journal.List(t.Context(), persistence.ListOptions{})) },
					"snapshot": func() error { _, _, err := journal.LoadSnapshot(t.Context(), "plain-0"); return err },
				} {
					err := call()
					require.ErrorIs(t, err, persistence.ErrReplaced, what)
					require.ErrorContains(t, err, "start the program again", what)
				}
				require.Equal(t, before, scalar(t, url, "SELECT count(*) FROM stele.event"))
				require.Equal(t, stored, scalar(t, url, "SELECT count(*) FROM stele.stream WHERE name LIKE 'new-%'"))

				if name != "the journal's own row" {
					again := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
					require.NotEqual(t, journal.Identity(), again.Identity())
					require.NoError(t, appendOne(t, again, "plain-5", persistence.NoStream, "z").Err)
				}
			})
		}
	}
}

func firstError[T any](all func(yield func(T, error) bool)) (first error) {
	for _, err := range all {
		if err != nil {
			return err
		}
	}
	return nil
}

func imports(t *testing.T, journal *postgres.Journal, stream persistence.StreamID) error {
	t.Helper()
	_, err := journal.Import(t.Context(), []persistence.Recorded{{
		Stream: stream, Version: 1, At: time.Now(), Event: persistence.Event{ID: persistence.NewEventID(), Type: "t"},
	}})
	return err
}

// A backup of the same journal is restored while the journal is open. The journal finds out
// that streams from after the backup are gone, and forgets them.
func TestABackupIsPutBackUnderAJournal(t *testing.T) {
	t.Parallel()
	for way, protocol := range protocols {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, Protocol: protocol})
			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
			require.NoError(t, appendOne(t, journal, "a-2", persistence.NoStream, "x").Err)
			require.NoError(t, appendOne(t, journal, "a-3", persistence.NoStream, "x").Err)

			execute(t, url, "DELETE FROM stele.event WHERE position > 1; DELETE FROM stele.stream WHERE stream_id > 1; ALTER TABLE stele.stream ALTER stream_id RESTART WITH 2")
			rival := other(t, url)
			require.NoError(t, appendOne(t, rival, "b-2", persistence.NoStream, "rival").Err)
			require.NoError(t, appendOne(t, rival, "b-3", persistence.NoStream, "rival").Err)

			_, err := tryRead(t, journal, "a-3")
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
			pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-2", Limit: 9}, {Stream: "b-2", Limit: 9}})
			require.NoError(t, err)
			require.Empty(t, pages[0].Events)
			require.Len(t, pages[1].Events, 1)
			require.NoError(t, appendOne(t, journal, "a-3", persistence.NoStream, "y").Err)
			require.ErrorIs(t, appendOne(t, journal, "a-2", persistence.Exact(1), "y").Err, persistence.ErrConflict)
			require.Equal(t, "y", string(readAll(t, rival, "a-3")[0].Payload))
			require.Len(t, readAll(t, rival, "b-3"), 1)
		})
	}
}

// The same, when the journal only appends.
func TestABackupIsPutBackUnderAppends(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed})
	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)
	_, err := journal.Delete(t.Context(), "a-1", persistence.Any) // not by the link, which has no proof of it
	require.NoError(t, err)
	execute(t, url, "DELETE FROM stele.event; DELETE FROM stele.stream; ALTER TABLE stele.stream ALTER stream_id RESTART WITH 1")
	rival := other(t, url)
	require.NoError(t, appendOne(t, rival, "b-1", persistence.NoStream, "rival").Err)

	require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "y").Err)

	require.Len(t, readAll(t, rival, "b-1"), 1)
	require.Equal(t, "y", string(readAll(t, rival, "a-1")[0].Payload))
}

// A journal whose schema is dropped says so at once, and works again when the schema is back.
func TestTheSchemaIsDroppedUnderAJournal(t *testing.T) {
	t.Parallel()
	for way, protocol := range protocols {
		t.Run(way, func(t *testing.T) {
			t.Parallel()
			url := pgtest.URL(t)
			journal := open(t, postgres.Config{URL: url, Durability: postgres.Relaxed, Protocol: protocol})
			require.NoError(t, appendOne(t, journal, "a-1", persistence.NoStream, "x").Err)

			execute(t, url, "ALTER SCHEMA stele RENAME TO away")
			for _, stream := range []persistence.StreamID{"a-1", "b-1", "a-1"} {
				began := time.Now()
				require.ErrorIs(t, appendOne(t, journal, stream, persistence.Exact(1), "y").Err, persistence.ErrTables, stream)
				require.ErrorIs(t, appendOne(t, journal, stream, persistence.Any, "y").Err, persistence.ErrTables)
				require.Less(t, time.Since(began), 10*time.Second)
			}
			_, err := tryRead(t, journal, "a-1")
			require.ErrorIs(t, err, persistence.ErrTables)
			require.ErrorIs(t, journal.Create(t.Context(), "c-1", nil), persistence.ErrTables)
			err = journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(one("a-1", persistence.Any))
				return err
			})
			require.ErrorIs(t, err, persistence.ErrTables)
			_, err = journal.Head(t.Context())
			require.ErrorIs(t, err, persistence.ErrTables)

			execute(t, url, "ALTER SCHEMA away RENAME TO stele")
			require.NoError(t, appendOne(t, journal, "a-1", persistence.Exact(1), "y").Err)
			require.Len(t, readAll(t, journal, "a-1"), 2)
		})
	}
}
