package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/sqlite"
)

// shared is a journal on whose file a program has a table of its own.
type shared struct {
	*sqlite.Journal
	t    *testing.T
	path string
	db   *sql.DB
}

func openShared(t *testing.T) shared {
	t.Helper()
	path := newPath(t)
	journal := open(t, path)
	db := openDB(t, path)
	_, err := db.Exec("CREATE TABLE account (name TEXT PRIMARY KEY, cents INTEGER)")
	require.NoError(t, err)
	return shared{journal, t, path, db}
}

func openDB(t *testing.T, path string) *sql.DB {
	t.Helper()
	dsn := url.URL{Scheme: "file", OmitHost: true, Path: path, RawQuery: "_txlock=immediate&_pragma=busy_timeout(5000)"}
	db, err := sql.Open("sqlite", dsn.String())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func (s shared) begin() *sql.Tx {
	s.t.Helper()
	tx, err := s.db.BeginTx(s.t.Context(), nil)
	require.NoError(s.t, err)
	s.t.Cleanup(func() { _ = tx.Rollback() }) // if the test ended before it
	return tx
}

func to(stream persistence.StreamID, expected persistence.Expected, payloads ...string) persistence.Append {
	a := persistence.Append{Stream: stream, Expected: expected}
	for _, payload := range payloads {
		a.Events = append(a.Events, persistence.Event{Type: "written", Payload: []byte(payload)})
	}
	return a
}

func (s shared) store(a persistence.Append) persistence.Outcome {
	s.t.Helper()
	outcomes, err := s.Append(s.t.Context(), a)
	require.NoError(s.t, err)
	require.NoError(s.t, outcomes[0].Err)
	return outcomes[0]
}

// join appends in a transaction together with a row.
func (s shared) join(tx *sql.Tx, name string, appends ...persistence.Append) ([]persistence.Outcome, error) {
	s.t.Helper()
	_, err := tx.Exec("INSERT INTO account VALUES (?, 100)", name)
	require.NoError(s.t, err)
	return s.AppendTx(s.t.Context(), tx, appends...)
}

// holds requires that there are these events in the sequence, without a gap, and
// these rows.
func (s shared) holds(rows int, payloads ...string) {
	s.t.Helper()
	var found []string
	for page, err := range s.ReadAll(s.t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(s.t, err)
		for _, recorded := range page.Events {
			found = append(found, string(recorded.Payload))
			require.Equal(s.t, int64(len(found)), recorded.Position.Offset)
		}
	}
	require.Equal(s.t, payloads, found)
	var count int
	require.NoError(s.t, s.db.QueryRow("SELECT count(*) FROM account").Scan(&count))
	require.Equal(s.t, rows, count)
	head, err := s.Head(s.t.Context())
	require.NoError(s.t, err)
	require.Equal(s.t, persistence.Positions{int64(len(payloads))}, head)
}

func TestAppendTx(t *testing.T) {
	t.Parallel()

	t.Run("commits a row and events together", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		s.store(to("a-1", persistence.NoStream, "1"))
		tx := s.begin()

		outcomes, err := s.join(tx, "ann", to("a-1", persistence.Exact(1), "2", "3"), to("b-1", persistence.NoStream, "4"), to("a-1", persistence.Exact(3), "5"), to("c-1", persistence.Any))

		require.NoError(t, err)
		require.Equal(t, []persistence.Outcome{
			{First: 2, Last: 3, Position: persistence.Position{Offset: 2}},
			{First: 1, Last: 1, Position: persistence.Position{Offset: 4}},
			{First: 4, Last: 4, Position: persistence.Position{Offset: 5}},
			{},
		}, outcomes)
		s.holds(0, "1")
		require.NoError(t, tx.Commit())
		s.holds(1, "1", "2", "3", "4", "5")
	})

	t.Run("is guarded by an append without events", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		s.store(to("a-1", persistence.NoStream, "1"))

		_, err := s.join(s.begin(), "ann", to("b-1", persistence.NoStream, "2"), to("a-1", persistence.NoStream))

		require.ErrorIs(t, err, persistence.ErrConflict)
		s.holds(0, "1")
	})

	t.Run("leaves nothing after a rollback", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		s.store(to("a-1", persistence.NoStream, "1"))
		tx := s.begin()
		_, err := s.join(tx, "ann", to("a-1", persistence.Exact(1), "lost"), to("b-1", persistence.NoStream, "lost"))
		require.NoError(t, err)

		require.NoError(t, tx.Rollback())

		s.store(to("a-1", persistence.Exact(1), "2"))
		s.store(to("b-1", persistence.NoStream, "3"))
		s.holds(0, "1", "2", "3")
	})

	t.Run("is noticed by a journal that remembers otherwise", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		s.store(to("a-1", persistence.NoStream, "1"))
		tx := s.begin()
		_, err := s.AppendTx(t.Context(), tx, to("a-1", persistence.Exact(1), "2"))
		require.NoError(t, err)
		require.NoError(t, tx.Commit())

		outcomes, err := s.Append(t.Context(), to("a-1", persistence.Exact(1), "stale"), to("a-1", persistence.Exact(2), "3"), to("b-1", persistence.NoStream, "4"))

		require.NoError(t, err)
		conflict, _ := errors.AsType[*persistence.ConflictError](outcomes[0].Err)
		require.Equal(t, &persistence.ConflictError{Stream: "a-1", Expected: 1, Actual: 2}, conflict)
		require.NoError(t, outcomes[1].Err)
		require.NoError(t, outcomes[2].Err)
		require.Equal(t, []persistence.Version{2, 3, 1}, []persistence.Version{conflict.Actual, outcomes[1].Last, outcomes[2].Last})
	})

	t.Run("leaves the transaction as it was when it is refused", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		s.store(to("a-1", persistence.NoStream, "1"))
		tx := s.begin()
		_, err := s.AppendTx(t.Context(), tx, to("b-1", persistence.NoStream, "2"))
		require.NoError(t, err)

		outcomes, err := s.join(tx, "ann", to("c-1", persistence.NoStream, "taken back"), to("a-1", persistence.NoStream, "refused"), to("d-1", persistence.NoStream, "not tried"))

		conflict, _ := errors.AsType[*persistence.ConflictError](err)
		require.Equal(t, &persistence.ConflictError{Stream: "a-1", Actual: 1}, conflict)
		require.Empty(t, outcomes)
		outcomes, err = s.AppendTx(t.Context(), tx, to("c-1", persistence.NoStream, "3"))
		require.NoError(t, err)
		require.Equal(t, persistence.Position{Offset: 3}, outcomes[0].Position)
		_, err = s.AppendTx(t.Context(), tx, to("", persistence.NoStream, "x"))
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.NoError(t, tx.Commit())
		s.holds(1, "1", "2", "3")
	})

	t.Run("knows ids, tags and the lives of streams", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		named := to("a-1", persistence.NoStream, "1", "2")
		named.Events[0].ID, named.Events[1].ID = persistence.NewEventID(), persistence.NewEventID()
		named.Events[0].Tags = []string{"t"}
		first := s.store(named)
		s.store(to("gone-1", persistence.NoStream, "3"))
		_, err := s.Delete(t.Context(), "gone-1", persistence.Any)
		require.NoError(t, err)
		again := to("gone-1", persistence.NoStream, "5")
		again.Events[0].ID, again.Events[0].Tags = persistence.NewEventID(), []string{"t", "u"}
		tx := s.begin()

		outcomes, err := s.AppendTx(t.Context(), tx, named, again, again)

		require.NoError(t, err)
		first.Duplicate = true
		require.Equal(t, first, outcomes[0])
		require.Equal(t, persistence.Outcome{First: 3, Last: 3, Position: persistence.Position{Offset: 5}}, outcomes[1])
		outcomes[1].Duplicate = true
		require.Equal(t, outcomes[1], outcomes[2])
		other := to("a-1", persistence.Any, "other")
		other.Events[0].ID = named.Events[0].ID
		_, err = s.AppendTx(t.Context(), tx, other)
		require.ErrorIs(t, err, persistence.ErrEventIDReused)
		require.NoError(t, tx.Commit())
		var tagged []string
		for page, err := range s.ReadAll(t.Context(), persistence.ReadAllOptions{Filter: filter.Tag().Eq("t")}) {
			require.NoError(t, err)
			for _, recorded := range page.Events {
				tagged = append(tagged, string(recorded.Payload))
			}
		}
		require.Equal(t, []string{"1", "5"}, tagged)
	})

	t.Run("is refused in a transaction that has read what is no longer true", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		plain, err := sql.Open("sqlite", s.path) // begins without a lock
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, plain.Close()) })
		tx, err := plain.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		var count int
		require.NoError(t, tx.QueryRow("SELECT count(*) FROM account").Scan(&count))
		s.store(to("a-1", persistence.NoStream, "1"))

		_, err = s.AppendTx(t.Context(), tx, to("b-1", persistence.NoStream, "late"))

		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.NoError(t, tx.Rollback())
		tx, err = plain.BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = s.AppendTx(t.Context(), tx, to("b-1", persistence.NoStream, "2"))
		require.NoError(t, err, "one that appends first needs no lock before")
		require.NoError(t, tx.Commit())
		s.holds(0, "1", "2")
	})

	t.Run("is refused where there is no journal, or an older one", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		path := newPath(t)
		alter(t, path, "CREATE TABLE other (x)")
		tx, err := openDB(t, path).BeginTx(t.Context(), nil)
		require.NoError(t, err)
		_, err = s.AppendTx(t.Context(), tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.NoError(t, tx.Rollback())

		alter(t, s.path, "PRAGMA user_version = 1")
		tx = s.begin()
		_, err = s.AppendTx(t.Context(), tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, persistence.ErrTables)
		require.NoError(t, tx.Rollback())
	})

	t.Run("is refused in a transaction of another journal", func(t *testing.T) {
		t.Parallel()
		s, another := openShared(t), openShared(t)
		tx := another.begin()
		_, err := s.AppendTx(t.Context(), tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, persistence.ErrInvalid)
		require.NoError(t, tx.Commit())
		another.holds(0)
	})

	t.Run("is refused when the journal is closed", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		tx := s.begin()
		require.NoError(t, s.Close())
		_, err := s.AppendTx(t.Context(), tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.NoError(t, tx.Rollback())
	})

	t.Run("does nothing for a caller who has left, nor in a transaction that has ended", func(t *testing.T) {
		t.Parallel()
		s := openShared(t)
		tx := s.begin()
		ctx, leave := context.WithCancel(t.Context())
		leave()
		_, err := s.AppendTx(ctx, tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.NoError(t, tx.Commit())
		_, err = s.AppendTx(t.Context(), tx, to("a-1", persistence.NoStream, "1"))
		require.ErrorIs(t, err, sql.ErrTxDone)
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		s.holds(0)
	})
}

func TestWaitingForAppendTx(t *testing.T) {
	t.Parallel()
	for name, nudge := range map[string]func(*sqlite.Journal){
		"wakes by a nudge":              (*sqlite.Journal).Nudge,
		"wakes by itself after a while": func(*sqlite.Journal) {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openShared(t)
			s.store(to("a-1", persistence.NoStream, "1"))
			woken := make(chan error)
			go func() { woken <- s.Wait(t.Context(), persistence.Positions{1}) }()
			tx := s.begin()
			_, err := s.AppendTx(t.Context(), tx, to("a-1", persistence.Exact(1), "2"))
			require.NoError(t, err)
			require.NoError(t, tx.Commit())

			nudge(s.Journal)

			require.NoError(t, <-woken)
			s.holds(0, "1", "2")
		})
	}
}

// TestManyAppendTx has transactions of the program, transactions of the journal and
// plain appends at the same streams.
func TestManyAppendTx(t *testing.T) {
	t.Parallel()
	s := openShared(t)
	const writers, rounds = 3, 15
	stream := func(i int) persistence.StreamID { return persistence.StreamID(fmt.Sprintf("shared-%d", i%2)) }
	var group errgroup.Group
	for writer := range writers {
		group.Go(func() error {
			for round := range rounds {
				if err := s.foreign(stream(round), fmt.Sprintf("foreign %d %d", writer, round), round%3 == 2); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			for round := range rounds {
				outcomes, err := s.Append(t.Context(), to(stream(round), persistence.Any, fmt.Sprintf("own %d %d", writer, round)))
				if err = errors.Join(err, outcomes[0].Err); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			for round := range rounds {
				if err := s.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
					_, err := tx.Append(to(stream(round), persistence.Any, fmt.Sprintf("tx %d %d", writer, round)), to(stream(round+1), persistence.Any, fmt.Sprintf("tx2 %d %d", writer, round)))
					return err
				}); err != nil {
					return err
				}
			}
			return nil
		})
	}

	require.NoError(t, group.Wait())

	seen, versions := map[string]bool{}, map[persistence.StreamID]persistence.Version{}
	position := int64(0)
	for page, err := range s.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		for _, recorded := range page.Events {
			position++
			versions[recorded.Stream]++
			require.Equal(t, position, recorded.Position.Offset)
			require.Equal(t, versions[recorded.Stream], recorded.Version)
			require.False(t, seen[string(recorded.Payload)])
			seen[string(recorded.Payload)] = true
		}
	}
	require.Len(t, seen, writers*(rounds*2/3+rounds+2*rounds))
	var rows int
	require.NoError(t, s.db.QueryRow("SELECT count(*) FROM account").Scan(&rows))
	require.Equal(t, writers*rounds*2/3, rows)
}

// foreign stores an event and a row in a transaction, which may be rolled back.
func (s shared) foreign(stream persistence.StreamID, text string, back bool) error {
	tx, err := s.db.BeginTx(s.t.Context(), nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	if _, err := tx.Exec("INSERT INTO account VALUES (?, 1)", text); err != nil {
		return err
	}
	if _, err := s.AppendTx(s.t.Context(), tx, to(stream, persistence.Any, text)); err != nil || back {
		return err
	}
	return tx.Commit()
}
