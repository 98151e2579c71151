package sqlite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// examined returns the finding about one thing.
func (o opened) examined(check string, full bool) persistence.Finding {
	o.t.Helper()
	all, err := o.Check(o.t.Context(), persistence.CheckOptions{Full: full})
	require.NoError(o.t, err)
	for _, f := range all {
		if f.Check == check {
			return f
		}
	}
	require.Fail(o.t, "not looked at", check)
	return persistence.Finding{}
}

func (o opened) finds(severity persistence.Severity, check, text string) {
	o.t.Helper()
	f := o.examined(check, true)
	require.Equal(o.t, severity, f.Severity, "%+v", f)
	require.Contains(o.t, f.Text, text)
	require.NotEmpty(o.t, f.Fix)
}

func TestCheckOfAFreshJournal(t *testing.T) {
	t.Parallel()
	o := openInside(t)

	for _, full := range []bool{false, true} {
		all, err := o.Check(t.Context(), persistence.CheckOptions{Full: full})

		require.NoError(t, err)
		var checks []string
		for _, f := range all {
			checks = append(checks, f.Check)
			if f.Check != "file system" { // that of the machine's temporary files
				require.Equal(t, persistence.Fine, f.Severity, "%+v", f)
				require.Empty(t, f.Fix)
			}
		}
		require.Equal(t, []string{"durability", "schema", "lock", "file system", "names", "log", "file", "streams", "events"}, checks)
	}
}

// Faults are planted behind the journal's back and found.
func TestCheckFindsFaultsOfTheData(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ plant, check, want string }{
		"a position is missing":          {"DELETE FROM event WHERE position = 4", "events", "the position before it is missing"},
		"an event is undecodable":        {"UPDATE event SET metadata = '[]' WHERE position = 4", "events", "metadata"},
		"an event has no stream":         {"UPDATE event SET stream_id = 999 WHERE position = 4", "events", "corrupt"},
		"a version is missing":           {"DELETE FROM event WHERE position = 4", "streams", "of a-1 versions are missing up to 5"},
		"versions do not begin at 1":     {"DELETE FROM event WHERE position = 1", "streams", "of a-1 versions are missing up to 5"},
		"a stream begins behind its end": {"UPDATE stream SET first_version = 9 WHERE name = 'a-1'", "streams", "a-1 begins at 9 behind its end at 5"},
		"a life begins late":             {"UPDATE stream SET begin_version = 4, first_version = 3 WHERE name = 'a-1'", "streams", "a-1 begins at 3 and its life at 4"},
		"a tombstone is missing":         {"UPDATE event SET type = 't' WHERE type = '$deleted'", "streams", "no tombstone stands before the life of b-1"},
		"a snapshot is from nowhere":     {"UPDATE snapshot SET version = 99", "streams", "the snapshot of a-1 is newer than the stream"},
		"an id is of another event":      {"UPDATE event_key SET version = 1", "streams", "an event id of a-1 is not of its event"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openInside(t)
			require.NoError(t, o.append("a-1", persistence.NoStream, "1", "2", "3", "4").Err)
			named := addition("a-1", persistence.Any, "5")
			named.Events[0].ID = persistence.NewEventID()
			_, err := o.Append(t.Context(), named)
			require.NoError(t, err)
			require.NoError(t, o.append("b-1", persistence.NoStream, "6").Err)
			_, err = o.Delete(t.Context(), "b-1", persistence.Any)
			require.NoError(t, err)
			require.NoError(t, o.append("b-1", persistence.NoStream, "8").Err)
			require.NoError(t, o.SaveSnapshot(t.Context(), persistence.Snapshot{Stream: "a-1", Version: 2, EventID: persistence.NewEventID()}))
			require.Equal(t, persistence.Fine, o.examined(c.check, true).Severity)

			o.inside(func(w *writer) { require.NoError(t, w.exec(c.plant)) })

			o.finds(persistence.Fault, c.check, c.want)
		})
	}
}

func TestCheckFindsADamagedFile(t *testing.T) {
	t.Parallel()
	for name, noticed := range map[string]bool{"that nobody has looked at": false, "that was seen to be written to": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := openInside(t)
			o.grow(4)
			o.inside(func(w *writer) {
				done, err := w.emptyLog(t.Context())
				require.NoError(t, err)
				require.True(t, done)
			})
			require.Equal(t, persistence.Fine, o.examined("file", false).Severity)
			info, err := os.Stat(o.file)
			require.NoError(t, err)
			file, err := os.OpenFile(o.file, os.O_RDWR, 0)
			require.NoError(t, err)
			defer file.Close()

			_, err = file.WriteAt([]byte(strings.Repeat("\xff", 64)), 4096) // the header of the second page
			require.NoError(t, err)
			at := info.ModTime()
			if noticed {
				at = at.Add(time.Second)
			}
			require.NoError(t, os.Chtimes(o.file, at, at))
			o.readers.pause() // what they remember of the file
			o.readers.resume()

			f := o.examined("file", false)
			require.Equal(t, persistence.Fault, f.Severity)
			require.Contains(t, f.Text, "quick_check says")
		})
	}
}

func TestCheckOfSettings(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	o.pragma("synchronous = NORMAL")
	o.finds(persistence.Fault, "durability", "journal_mode = wal, synchronous = 1")

	relaxed, err := Open(t.Context(), Config{Path: filepath.Join(t.TempDir(), "journal.db"), Relaxed: true})
	require.NoError(t, err)
	defer relaxed.Close()
	opened{Journal: relaxed, t: t}.finds(persistence.Warning, "durability", "which Config.Relaxed allows")
}

func TestCheckOfTheLock(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	require.NoError(t, os.Rename(o.file+".lock", o.file+".old"))
	o.finds(persistence.Fault, "lock", "a second process can open the journal")
	require.NoError(t, os.WriteFile(o.file+".lock", nil, 0o600))
	o.finds(persistence.Fault, "lock", "a second process can open the journal")
}

func TestLongCheckOfTheLog(t *testing.T) {
	t.Parallel()
	o := openInside(t)
	reader := o.foreign("BEGIN")
	_, err := reader.firstOf("SELECT count(*) FROM event")
	require.NoError(t, err)

	o.grow(logSwollen/mebibyte + 1)

	o.finds(persistence.Warning, "log", "because another program keeps reading what is old")
}
