package main

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/examples/bank/bankpb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWithdraw(t *testing.T) {
	t.Parallel()

	opened, deposited := &bankpb.Opened{Owner: "ann"}, &bankpb.Deposited{Cents: 100}

	Withdraw.Given(t, Accounts, opened, deposited).
		When(&bankpb.Withdraw{Cents: 30}).
		Then(&bankpb.Withdrawn{Cents: 30}).
		Reply(&bankpb.Balance{Cents: 70})
	Withdraw.Given(t, Accounts, opened, deposited, &bankpb.Withdrawn{Cents: 80}).
		When(&bankpb.Withdraw{Cents: 30}).
		Fails(ErrInsufficient)
	Withdraw.Given(t, Accounts).
		When(&bankpb.Withdraw{Cents: 30}).
		Fails(ErrNoAccount)
}

func TestOpen(t *testing.T) {
	t.Parallel()

	Open.Given(t, Accounts).
		When(&bankpb.Open{Owner: "ann"}).
		Then(&bankpb.Opened{Owner: "ann"}).
		Reply(&bankpb.Balance{})
	Open.Given(t, Accounts, &bankpb.Opened{Owner: "ann"}).
		When(&bankpb.Open{Owner: "ann"}).
		Fails(ErrExists)
}

// The transcript is what a person sees who types the commands one by one: every
// line starts the program anew on the same file.
func TestTranscript(t *testing.T) {
	t.Parallel()

	file := filepath.Join(t.TempDir(), "bank.db")
	for _, step := range []struct{ command, answer string }{
		{"show ann", ErrNoAccount.Error()},
		{"deposit ann 100", ErrNoAccount.Error()},
		{"open ann", "ann has 0 cents"},
		{"open ann", ErrExists.Error()},
		{"deposit ann 100", "ann has 100 cents"},
		{"withdraw ann 130", ErrInsufficient.Error()},
		{"withdraw ann 30", "ann has 70 cents"},
		{"withdraw ann -5", ErrAmount.Error()},
		{"deposit ann much", ErrAmount.Error()},
		{"show ann", "ann has 70 cents"},
		{"open bob", "bob has 0 cents"},
		{"close ann", "usage: bank [-db FILE] open|deposit|withdraw|show ACCOUNT [CENTS]"},
		{"", "usage: bank [-db FILE] open|deposit|withdraw|show ACCOUNT [CENTS]"},
	} {
		var out strings.Builder

		err := run(t.Context(), append([]string{"-db", file}, strings.Fields(step.command)...), &out)
		if err != nil {
			out.WriteString(err.Error())
		}

		require.Equal(t, step.answer, strings.TrimSpace(out.String()), step.command)
	}
}
