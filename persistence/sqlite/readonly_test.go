package sqlite_test

import (
	"context"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/sqlite"
)

func openToRead(t *testing.T, path string) *sqlite.Journal {
	t.Helper()
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

func TestReadingBesideAProgram(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	p := startChild(t, path) // which has the journal open, and appends
	_, more := p.Line()
	require.True(t, more)
	journal := openToRead(t, path)

	for _, full := range []bool{false, true} {
		findings, err := journal.Check(t.Context(), persistence.CheckOptions{Full: full})
		require.NoError(t, err)
		require.NotEmpty(t, findings)
		for _, finding := range findings {
			require.Less(t, finding.Severity, persistence.Warning, "%s: %s", finding.Check, finding.Text)
		}
	}
	_, err := schema.Check(t.Context(), journal, schema.Program{})
	require.NoError(t, err)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	require.NoError(t, journal.Wait(t.Context(), head), "what the other program stores is seen")
	require.NotEmpty(t, stored(t, journal))
	p.Kill()

	writer := open(t, path)
	require.Equal(t, writer.Identity(), journal.Identity())
	require.NoError(t, store(t.Context(), writer, "behind"), "a reader keeps nobody from opening")
	texts := stored(t, journal)
	require.Equal(t, "behind", texts[len(texts)-1])
}

func TestReadingAlone(t *testing.T) {
	t.Parallel()

	t.Run("needs no other program", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		writer := open(t, path)
		require.NoError(t, store(t.Context(), writer, "first"))
		require.NoError(t, writer.Close())
		require.NoError(t, os.Remove(path+".lock"))

		require.Equal(t, []string{"first"}, stored(t, openToRead(t, path)))

		require.NoFileExists(t, path+".lock")
	})

	t.Run("refuses what would store, and says why", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		require.NoError(t, store(t.Context(), open(t, path), "first"))
		journal := openToRead(t, path)
		_, err := journal.RegisterSchema(t.Context(), persistence.JSON, []byte("{}"))
		refused := []error{
			store(t.Context(), journal, "second"), err,
			journal.Create(t.Context(), "new-1", nil),
			journal.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "kept-1", Version: 1, EventID: persistence.NewEventID()}),
			journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(persistence.Append{Stream: "new-1", Events: []persistence.Event{{Type: "t"}}})
				return err
			}),
		}
		for _, err := range refused {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.ErrorContains(t, err, "ReadOnly")
		}
		require.Equal(t, []string{"first"}, stored(t, journal))
	})

	t.Run("makes no file, and brings none up to date", func(t *testing.T) {
		t.Parallel()
		path := newPath(t)
		_, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.NoFileExists(t, path)

		require.NoError(t, open(t, path).Close())
		alter(t, path, "PRAGMA user_version = 1")
		_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path, ReadOnly: true})
		require.ErrorIs(t, err, persistence.ErrTables)
	})
}
