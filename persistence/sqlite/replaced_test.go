package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

// store appends an event that can be told by its text.
func store(ctx context.Context, journal persistence.Journal, text string) error {
	outcomes, err := journal.Append(ctx, persistence.Append{
		Stream: "kept-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "noted", Payload: []byte(text)}},
	})
	if err != nil {
		return err
	}
	return outcomes[0].Err
}

func stored(t *testing.T, journal persistence.Journal) (texts []string) {
	t.Helper()
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, recorded := range page.Events {
			texts = append(texts, string(recorded.Payload))
		}
	}
	return texts
}

// TestNothingIsAcknowledgedIntoWhatIsLost does something to the files of a journal at
// work. What is acknowledged from then on must be there for the next program that
// opens the journal; what is refused must say what to do.
func TestNothingIsAcknowledgedIntoWhatIsLost(t *testing.T) {
	t.Parallel()
	rename := func(t *testing.T, from, to string) {
		t.Helper()
		require.NoError(t, os.Rename(from, to))
	}
	remove := func(endings ...string) func(*testing.T, string) func() {
		return func(t *testing.T, path string) func() {
			for _, ending := range endings {
				require.NoError(t, os.Remove(path+ending))
			}
			return nil
		}
	}
	foreign := func(statements ...string) func(*testing.T, string) func() {
		return func(t *testing.T, path string) func() {
			alter(t, path, statements...)
			return nil
		}
	}
	for name, c := range map[string]struct {
		refused bool
		// disturb may return how to put things right again.
		disturb func(t *testing.T, path string) (mend func())
	}{
		"the file was deleted":              {true, remove("")},
		"the file and its log were deleted": {true, remove("", "-wal", "-shm")},
		"the file was moved": {true, func(t *testing.T, path string) func() {
			rename(t, path, path+".away")
			return func() { rename(t, path+".away", path) }
		}},
		"the directory was moved": {true, func(t *testing.T, path string) func() {
			directory := filepath.Dir(path)
			rename(t, directory, directory+"-away")
			return func() { rename(t, directory+"-away", directory) }
		}},
		"an older copy took the place of the file": {true, func(t *testing.T, path string) func() {
			rename(t, path, path+".away")
			copyFile(t, path+".backup", path)
			return nil
		}},
		"a journal of another program took the place of the file": {true, func(t *testing.T, path string) func() {
			other := newPath(t)
			require.NoError(t, open(t, other).Close())
			rename(t, other, path)
			return nil
		}},
		"an older copy was written over the file": {true, func(t *testing.T, path string) func() {
			copyFile(t, path+".backup", path)
			return nil
		}},
		"the file was emptied": {true, func(t *testing.T, path string) func() {
			require.NoError(t, os.Truncate(path, 0))
			return nil
		}},
		"the log was deleted":                 {true, remove("-wal")},
		"the shared memory was deleted":       {true, remove("-shm")},
		"the log and its memory were deleted": {true, remove("-wal", "-shm")},
		"the log was moved":                   {true, func(t *testing.T, path string) func() { rename(t, path+"-wal", path+".log"); return nil }},
		"the file got another time": {false, func(t *testing.T, path string) func() {
			require.NoError(t, os.Chtimes(path, aMoment, aMoment))
			return nil
		}},
		"a tool put the file in order":           {false, foreign("VACUUM", "PRAGMA wal_checkpoint(PASSIVE)")},
		"a tool made a table of its own":         {false, foreign("CREATE TABLE own (a)", "INSERT INTO own VALUES (1)")},
		"a tool deleted the newest event":        {true, foreign("DELETE FROM event WHERE position = (SELECT max(position) FROM event)")},
		"a tool deleted all events":              {true, foreign("DELETE FROM event")},
		"a tool changed the newest event":        {true, foreign("UPDATE event SET event_id = randomblob(16) WHERE position = (SELECT max(position) FROM event)")},
		"a tool gave the journal another id":     {true, foreign("UPDATE journal SET id = randomblob(16)")},
		"a tool deleted the journal's id":        {true, foreign("DELETE FROM journal")},
		"a tool dropped a table":                 {true, foreign("DROP TABLE event")},
		"a tool made the tables anew, all empty": {true, foreign("DELETE FROM event", "DELETE FROM event_key", "DELETE FROM stream", "UPDATE journal SET id = randomblob(16)")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "of its own", "journal.db")
			require.NoError(t, os.Mkdir(filepath.Dir(path), 0o700))
			journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NoError(t, err)
			want := []string{"first"}
			require.NoError(t, store(t.Context(), journal, "first"))
			alter(t, path, "VACUUM INTO '"+path+".backup'")
			for i := range 60 { // more than a page
				want = append(want, fmt.Sprintf("%d %0200d", i, i))
				require.NoError(t, store(t.Context(), journal, want[len(want)-1]))
			}
			require.NoError(t, journal.Close()) // which moves the log into the file
			journal, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
			require.NoError(t, err)
			defer func() { _ = journal.Close() }()
			want = append(want, "in the log")
			require.NoError(t, store(t.Context(), journal, "in the log"))
			require.Equal(t, want, stored(t, journal), "a reader is open")

			mend := c.disturb(t, path)

			for i := range 3 {
				text := fmt.Sprintf("behind %d", i)
				err := store(t.Context(), journal, text)
				if !c.refused {
					require.NoError(t, err)
					want = append(want, text)
					continue
				}
				require.ErrorIs(t, err, persistence.ErrReplaced)
				require.ErrorIs(t, err, persistence.ErrUnavailable)
				require.NotErrorIs(t, err, persistence.ErrUnknownOutcome)
				require.ErrorContains(t, err, "start")
				require.ErrorIs(t, journal.Create(t.Context(), "made-1", nil), persistence.ErrReplaced)
				err = journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
					_, err := tx.Append(persistence.Append{Stream: "within-1", Events: []persistence.Event{{Type: "t"}}})
					return err
				})
				require.ErrorIs(t, err, persistence.ErrReplaced)
			}
			if mend != nil {
				mend()
				require.NoError(t, store(t.Context(), journal, "mended"), "what is back is used again")
				want = append(want, "mended")
			}
			if strings.HasPrefix(name, "the log") || name == "the shared memory was deleted" {
				require.NoError(t, os.WriteFile(path+".saved", must(os.ReadFile(path)), 0o600)) // as a crash leaves it
				require.Equal(t, want, stored(t, open(t, path+".saved")), "what stood in the log alone is in the file")
				return
			}
			if c.refused && mend == nil {
				return // nothing was acknowledged that could be missing
			}
			require.Equal(t, want, stored(t, journal))
			sqlite.Crash(t, journal)
			require.Equal(t, want, stored(t, open(t, path)))
		})
	}
}

func TestLinkThatLeadsElsewhere(t *testing.T) {
	t.Parallel()
	one, other := newPath(t), newPath(t)
	require.NoError(t, open(t, other).Close())
	link := filepath.Join(t.TempDir(), "link.db")
	require.NoError(t, os.Symlink(one, link))
	journal := open(t, link)
	require.NoError(t, store(t.Context(), journal, "first"))

	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(other, link))

	require.ErrorIs(t, store(t.Context(), journal, "lost"), persistence.ErrReplaced)
	require.NoError(t, os.Remove(link))
	require.NoError(t, os.Symlink(one, link))
	require.NoError(t, store(t.Context(), journal, "second"))
}

// TestReadersSeeTheFileOfTheWriter opens a reader when another file stands in place.
func TestReadersSeeTheFileOfTheWriter(t *testing.T) {
	t.Parallel()
	path, other := newPath(t), newPath(t)
	stranger := open(t, other)
	require.NoError(t, store(t.Context(), stranger, "of another journal"))
	require.NoError(t, stranger.Close())
	journal := open(t, path)
	require.NoError(t, store(t.Context(), journal, "first"))
	require.NoError(t, os.Rename(other, path))

	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.ErrorIs(t, err, persistence.ErrReplaced)
		require.Empty(t, page.Events)
	}
	_, err := journal.Head(t.Context())
	require.ErrorIs(t, err, persistence.ErrReplaced)
}

func must[T any](value T, err error) T {
	if err != nil {
		panic(err)
	}
	return value
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, data, 0o600))
}

var aMoment = time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)

// TestMovedUnderLoad moves the file back and forth beneath many writers. Whatever was
// acknowledged is there at the end, and whatever was refused is not.
func TestMovedUnderLoad(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	journal := open(t, path)
	var acknowledged, refused, unknown sync.Map
	var writers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for writer := range 8 {
		writers.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				text := fmt.Sprintf("%d/%d", writer, i)
				switch err := store(t.Context(), journal, text); {
				case err == nil:
					acknowledged.Store(text, true)
				case errors.Is(err, persistence.ErrUnknownOutcome):
					unknown.Store(text, true)
				default:
					refused.Store(text, true)
				}
			}
		})
	}
	count := func(m *sync.Map) (n int) {
		m.Range(func(any, any) bool { n++; return true })
		return n
	}
	grows := func(m *sync.Map) {
		for before := count(m); count(m) < before+20; {
			runtime.Gosched()
		}
	}
	for range 5 {
		grows(&acknowledged)
		require.NoError(t, os.Rename(path, path+".away"))
		grows(&refused)
		require.NoError(t, os.Rename(path+".away", path))
	}
	grows(&acknowledged)
	stop()
	writers.Wait()
	require.NoError(t, journal.Close())

	found := map[string]bool{}
	for _, text := range stored(t, open(t, path)) {
		found[text] = true
		_, isRefused := refused.Load(text)
		require.False(t, isRefused, "%s was refused and is there", text)
	}
	acknowledged.Range(func(text, _ any) bool {
		return assert(t, found[text.(string)], "%s was acknowledged and is lost", text)
	})
}

func assert(t *testing.T, holds bool, format string, args ...any) bool {
	t.Helper()
	if !holds {
		t.Errorf(format, args...)
	}
	return holds
}
