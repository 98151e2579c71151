package sqlite_test

import (
	"context"
	"database/sql"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// TestDeadlinesBesideAnotherProgram has another connection hold the file while callers
// with deadlines want to write.
func TestDeadlinesBesideAnotherProgram(t *testing.T) {
	t.Parallel()
	s := openShared(t)
	s.store(to("a-1", persistence.NoStream, "1"))
	other := s.begin() // "BEGIN IMMEDIATE"
	patient, err := sql.Open("sqlite", "file:"+s.path+"?_pragma=busy_timeout(5000)")
	require.NoError(t, err)
	defer patient.Close()
	for name, call := range map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error {
			outcomes, err := s.Append(ctx, to("a-1", persistence.Any, "late"))
			if err == nil {
				err = outcomes[0].Err
			}
			return err
		},
		"Create": func(ctx context.Context) error { return s.Create(ctx, "b-1", nil) },
		"Transact": func(ctx context.Context) error {
			return s.Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(to("a-1", persistence.Any, "late"))
				return err
			})
		},
		"Check": func(ctx context.Context) error {
			_, err := s.Check(ctx, persistence.CheckOptions{})
			return err
		},
		"AppendTx": func(ctx context.Context) error {
			tx, err := patient.BeginTx(t.Context(), nil) // which locks nothing yet
			require.NoError(t, err)
			defer func() { _ = tx.Rollback() }()
			_, err = s.AppendTx(ctx, tx, to("a-1", persistence.Any, "late"))
			return err
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		begun := time.Now()
		err := call(ctx)
		took := time.Since(begun)
		cancel()
		if err != nil {
			require.True(t, persistence.ErrorKindOf(err) == persistence.ErrUnavailable || persistence.ErrorKindOf(err) == persistence.ErrUnknownOutcome, "%s: %v", name, err)
		}
		require.Less(t, took, 3*time.Second, name)
	}
	require.NoError(t, other.Rollback())
	s.store(to("b-1", persistence.NoStream, "2"))
}
