package main

import (
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

func TestMove(t *testing.T) {
	t.Parallel()

	move.Given(t, accounts, Moved{Cents: 100}).
		When(Move{Cents: -30}).
		Then(Moved{Cents: -30}).
		Reply(Balance{Cents: 70})
	move.Given(t, accounts, Moved{Cents: 100}).
		When(Move{Cents: -130}).
		Fails(ErrInsufficient)
}

func TestRunAgainKeepsTheAccount(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "bank.db")

	for _, cents := range []int{100, 200, 300} {
		balance, err := run(t.Context(), file)

		require.NoError(t, err)
		require.Equal(t, Balance{Cents: cents}, balance)
	}
}
