package bank_test

import (
	"log/slog"
	"testing"

	"go.uber.org/goleak"

	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

// What an account has been through, as the tests below begin.
var (
	opened    = &bankpb.Opened{Owner: "ann"}
	deposited = &bankpb.Deposited{Cents: 100}
)

func TestOpen(t *testing.T) {
	t.Parallel()

	bank.Open.Given(t, bank.Accounts).
		When(&bankpb.Open{Owner: "ann"}).
		Then(&bankpb.Opened{Owner: "ann"}).
		Reply(&bankpb.Balance{})
	bank.Open.Given(t, bank.Accounts, opened).
		When(&bankpb.Open{Owner: "ann"}).
		Fails(bank.ErrExists)
}

func TestDeposit(t *testing.T) {
	t.Parallel()

	bank.Deposit.Given(t, bank.Accounts, opened, deposited).
		When(&bankpb.Deposit{Cents: 5}).
		Then(&bankpb.Deposited{Cents: 5}).
		Reply(&bankpb.Balance{Cents: 105})
	bank.Deposit.Given(t, bank.Accounts, opened).
		When(&bankpb.Deposit{Cents: -5}).
		Fails(bank.ErrAmount)
	bank.Deposit.Given(t, bank.Accounts).
		When(&bankpb.Deposit{Cents: 5}).
		Fails(bank.ErrNoAccount)
}

func TestWithdraw(t *testing.T) {
	t.Parallel()

	bank.Withdraw.Given(t, bank.Accounts, opened, deposited).
		When(&bankpb.Withdraw{Cents: 30}).
		Then(&bankpb.Withdrawn{Cents: 30}).
		Reply(&bankpb.Balance{Cents: 70})
	bank.Withdraw.Given(t, bank.Accounts, opened, deposited, &bankpb.Withdrawn{Cents: 80}).
		When(&bankpb.Withdraw{Cents: 30}).
		Fails(bank.ErrInsufficient)
	bank.Withdraw.Given(t, bank.Accounts, opened, deposited).
		When(&bankpb.Withdraw{}).
		Fails(bank.ErrAmount)
	bank.Withdraw.Given(t, bank.Accounts).
		When(&bankpb.Withdraw{Cents: 30}).
		Fails(bank.ErrNoAccount)
}

func TestShow(t *testing.T) {
	t.Parallel()

	bank.Show.Given(t, bank.Accounts, opened, deposited).
		When(&bankpb.Show{}).
		Then().
		Reply(&bankpb.Balance{Cents: 100})
	bank.Show.Given(t, bank.Accounts).
		When(&bankpb.Show{}).
		Fails(bank.ErrNoAccount)
}
