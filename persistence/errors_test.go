package persistence_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var allKinds = []persistence.ErrorKind{
	persistence.ErrRejected, persistence.ErrConflict, persistence.ErrEventIDReused, persistence.ErrNotFound,
	persistence.ErrInvalid, persistence.ErrUnavailable, persistence.ErrOverloaded, persistence.ErrUnknownOutcome,
	persistence.ErrFenced, persistence.ErrCorrupt, persistence.ErrDone, persistence.ErrStreamNotFound, persistence.ErrStreamExists,
	persistence.ErrRevision, persistence.ErrTruncated, persistence.ErrLostTail, persistence.ErrTables,
}

// TestKindsOfErrors is the whole matrix: every error matches the kinds that are
// named, and no other, bare and wrapped.
func TestKindsOfErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err   error
		kinds []persistence.ErrorKind // the first is its ErrorKindOf
		text  string
	}{
		"conflict": {
			&persistence.ConflictError{Stream: "a-1", Expected: persistence.Exact(3), Actual: 5},
			[]persistence.ErrorKind{persistence.ErrConflict},
			"conflict on a-1: expected version 3, found version 5",
		},
		"conflict with a missing stream": {
			&persistence.ConflictError{Stream: "a-1", Expected: persistence.StreamExists},
			[]persistence.ErrorKind{persistence.ErrConflict, persistence.ErrNotFound, persistence.ErrStreamNotFound},
			"conflict on a-1: expected an existing stream, found version 0",
		},
		"stream not found": {
			&persistence.StreamNotFoundError{Stream: "a-1"},
			[]persistence.ErrorKind{persistence.ErrNotFound, persistence.ErrStreamNotFound},
			"stream a-1 not found",
		},
		"event id reused": {
			&persistence.EventIDReusedError{Stream: "a-1"},
			[]persistence.ErrorKind{persistence.ErrEventIDReused},
			"event id 00000000-0000-0000-0000-000000000000 is used in a-1 with other content",
		},
		"invalid": {
			&persistence.InvalidError{Field: "stream", Reason: "is empty"},
			[]persistence.ErrorKind{persistence.ErrInvalid},
			"invalid: stream is empty",
		},
		"a limit": {
			&persistence.InvalidError{Field: "payload", Reason: "is too large", Size: 9, Limit: 8},
			[]persistence.ErrorKind{persistence.ErrInvalid},
			"invalid: payload is too large: 9, at most 8",
		},
		"unavailable": {
			&persistence.UnavailableError{Reason: "the journal is closed"},
			[]persistence.ErrorKind{persistence.ErrUnavailable},
			"unavailable: the journal is closed",
		},
		"overloaded": {
			&persistence.UnavailableError{Reason: "the queue is full", Overloaded: true, RetryAfter: time.Second},
			[]persistence.ErrorKind{persistence.ErrOverloaded},
			"unavailable: the queue is full",
		},
		"unknown outcome": {
			&persistence.UnknownOutcomeError{Stream: "a-1"},
			[]persistence.ErrorKind{persistence.ErrUnknownOutcome},
			"unknown outcome of an append to a-1",
		},
		"unknown outcome, because a part was unavailable": {
			&persistence.UnknownOutcomeError{Stream: "a-1", Err: &persistence.UnavailableError{Reason: "no connection"}},
			[]persistence.ErrorKind{persistence.ErrUnknownOutcome},
			"unknown outcome of an append to a-1: unavailable: no connection",
		},
		"unknown outcome, with a kind deep inside": {
			&persistence.UnknownOutcomeError{Stream: "a-1", Err: errors.Join(errors.New("lost"), fmt.Errorf("ask: %w", persistence.ErrConflict))},
			[]persistence.ErrorKind{persistence.ErrUnknownOutcome},
			"unknown outcome of an append to a-1: lost\nask: conflict",
		},
		"corrupt": {
			&persistence.CorruptError{Stream: "a-1", Version: 7, Reason: "version 7 follows version 5"},
			[]persistence.ErrorKind{persistence.ErrCorrupt},
			"corrupt a-1 at version 7: version 7 follows version 5",
		},
		"corrupt as a whole": {
			&persistence.CorruptError{Reason: "no database", Err: errors.New("bad header")},
			[]persistence.ErrorKind{persistence.ErrCorrupt},
			"corrupt: no database: bad header",
		},
		"no tables": {
			&persistence.TablesError{Want: 3, Fix: "stele migrate up"},
			[]persistence.ErrorKind{persistence.ErrUnavailable, persistence.ErrTables},
			`the journal has no tables: run "stele migrate up"`,
		},
		"old tables": {
			&persistence.TablesError{Have: 2, Want: 3, Fix: "stele migrate up"},
			[]persistence.ErrorKind{persistence.ErrUnavailable, persistence.ErrTables},
			`the journal's tables are at migration 2, this program needs 3: run "stele migrate up"`,
		},
		"of the runtime": {
			&persistence.Error{Kind: persistence.ErrRejected, Op: "withdraw from account-ann", Err: errors.New("insufficient")},
			[]persistence.ErrorKind{persistence.ErrRejected},
			"withdraw from account-ann: rejected: insufficient",
		},
		"of the runtime, for a reason": {
			&persistence.Error{Kind: persistence.ErrOverloaded, Op: "ask", Reason: "mailbox-full"},
			[]persistence.ErrorKind{persistence.ErrOverloaded},
			"ask: overloaded (mailbox-full)",
		},
		"a missing stream as a bare kind": {
			persistence.ErrStreamNotFound,
			[]persistence.ErrorKind{persistence.ErrNotFound, persistence.ErrStreamNotFound},
			"stream not found",
		},
		"a schema as a bare kind": {
			persistence.ErrTables,
			[]persistence.ErrorKind{persistence.ErrUnavailable, persistence.ErrTables},
			"tables not current",
		},
		"a narrow kind of the runtime": {
			&persistence.Error{Kind: persistence.ErrStreamNotFound, Op: "ask"},
			[]persistence.ErrorKind{persistence.ErrNotFound, persistence.ErrStreamNotFound},
			"ask: stream not found",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.EqualError(t, c.err, c.text)
			for _, err := range []error{c.err, fmt.Errorf("append: %w", c.err), errors.Join(errors.New("other"), c.err)} {
				for _, kind := range allKinds {
					require.Equal(t, slices.Contains(c.kinds, kind), errors.Is(err, kind), "%v is %v", err, kind)
				}
				require.Equal(t, c.kinds[0], persistence.ErrorKindOf(err))
			}
		})
	}
}

func TestErrorKindOf(t *testing.T) {
	t.Parallel()

	t.Run("every kind is its own, or belongs to one", func(t *testing.T) {
		t.Parallel()
		for _, kind := range allKinds {
			found := persistence.ErrorKindOf(fmt.Errorf("wrapped: %w", kind))
			require.ErrorIs(t, kind, found)
		}
	})

	t.Run("what is of no kind is the domain's", func(t *testing.T) {
		t.Parallel()
		class, known := persistence.Classify(fmt.Errorf("withdraw: %w", errors.New("insufficient funds")))
		require.Equal(t, persistence.Class{Kind: persistence.ErrRejected}, class)
		require.False(t, known)
	})

	t.Run("but for what tells of a part that was away, which may have been done", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{
			context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET,
			&net.OpError{Op: "dial", Err: errors.New("refused")}, &fs.PathError{Op: "open", Err: fs.ErrNotExist},
		} {
			class, known := persistence.Classify(fmt.Errorf("ask: %w", err))
			require.Equal(t, persistence.Class{Kind: persistence.ErrUnknownOutcome, Effect: persistence.MaybeDone, Retry: true}, class, err)
			require.False(t, known)
		}
	})

	t.Run("nothing that failed is of no kind", func(t *testing.T) {
		t.Parallel()
		class, known := persistence.Classify(nil)
		require.Zero(t, class)
		require.False(t, known)
		require.Empty(t, persistence.ErrorKindOf(nil))
	})

	t.Run("every kind stands once in the table", func(t *testing.T) {
		t.Parallel()
		seen := map[persistence.ErrorKind]bool{}
		for _, class := range persistence.Classes() {
			require.False(t, seen[class.Kind])
			seen[class.Kind] = true
			found, known := persistence.Classify(class.Kind)
			require.Equal(t, class, found)
			require.True(t, known)
		}
		require.Equal(t, []string{"not done", "done", "may be done"}, []string{persistence.NotDone.String(), persistence.Done.String(), persistence.MaybeDone.String()})
	})

	t.Run("a cause of another kind keeps what is no kind", func(t *testing.T) {
		t.Parallel()
		behind := persistence.NewErrorKind("behind", persistence.ErrUnavailable)
		inner := &persistence.UnavailableError{Reason: "away", Err: fmt.Errorf("%w, %w: %w", behind, context.Canceled, &fs.PathError{Op: "open"})}
		err := &persistence.UnknownOutcomeError{Stream: "a-1", Err: inner}
		require.ErrorIs(t, err, context.Canceled)
		require.ErrorIs(t, err, behind)
		require.NotErrorIs(t, err, persistence.ErrUnavailable)
		_, found := errors.AsType[*fs.PathError](err)
		require.True(t, found)
		_, found = errors.AsType[*persistence.UnavailableError](err)
		require.False(t, found, "it would be taken for definite")
		_, found = errors.AsType[persistence.ErrorKind](err)
		require.False(t, found)
		require.NoError(t, persistence.Cause(persistence.ErrUnavailable, nil))
		require.Equal(t, inner, persistence.Cause(persistence.ErrUnavailable, inner))
	})

	t.Run("the outermost decides", func(t *testing.T) {
		t.Parallel()
		unavailable := &persistence.UnavailableError{Reason: "away"}
		for _, c := range []struct {
			kind persistence.ErrorKind
			err  error
		}{
			{persistence.ErrUnknownOutcome, &persistence.UnknownOutcomeError{Stream: "a-1", Err: unavailable}},
			{persistence.ErrCorrupt, &persistence.CorruptError{Reason: "metadata", Err: &persistence.InvalidError{Field: "metadata"}}},
			{persistence.ErrUnavailable, &persistence.UnavailableError{Reason: "r", Err: &persistence.CorruptError{Reason: "c"}}},
			{persistence.ErrFenced, &persistence.Error{Kind: persistence.ErrFenced, Err: unavailable}},
			{persistence.ErrUnavailable, errors.Join(errors.New("first"), unavailable, persistence.ErrConflict)},
		} {
			require.Equal(t, c.kind, persistence.ErrorKindOf(c.err))
			require.Equal(t, c.kind, persistence.ErrorKindOf(fmt.Errorf("op: %w", c.err)))
		}
	})

	t.Run("causes stay in reach", func(t *testing.T) {
		t.Parallel()
		for _, err := range []error{
			&persistence.UnavailableError{Reason: "the caller left", Err: context.Canceled},
			&persistence.UnknownOutcomeError{Stream: "a-1", Err: fmt.Errorf("wait: %w", context.Canceled)},
			&persistence.CorruptError{Reason: "r", Err: context.Canceled},
			&persistence.Error{Kind: persistence.ErrRejected, Op: "ask", Err: context.Canceled},
		} {
			require.ErrorIs(t, err, context.Canceled)
		}
	})
}

func TestCommandIDText(t *testing.T) {
	t.Parallel()
	require.Equal(t, "01000000-0000-0000-0000-000000000002", persistence.CommandID{0: 1, 15: 2}.String())
}

func TestChain(t *testing.T) {
	t.Parallel()
	var chain persistence.Chain
	require.NoError(t, chain.Err())
	first := errors.New("first")
	chain.Fail(first)
	chain.Fail(errors.New("second"))
	require.Equal(t, first, chain.Err())

	var none *persistence.Chain
	none.Fail(first)
	require.NoError(t, none.Err())
}
