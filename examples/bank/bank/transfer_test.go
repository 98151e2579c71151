package bank_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

// What a transfer has been through.
var (
	started = &bankpb.TransferStarted{From: "ann", To: "bob", Cents: 30}
	debited = &bankpb.TransferDebited{}
	expired = &bankpb.TransferExpired{}
)

func TestTransferStarts(t *testing.T) {
	t.Parallel()

	bank.Transfer.Given(t, bank.Transfers).ID("t1").
		When(&bankpb.Transfer{From: "ann", To: "bob", Cents: 30}).
		Then(started).
		Sends(
			bank.Withdraw.To("ann", &bankpb.Withdraw{Cents: 30}),
			bank.Expire.To("t1", &bankpb.Expire{}).After(bank.Deadline).Key("deadline")).
		Reply(&bankpb.TransferStatus{Stage: bank.Started})
}

func TestTransferHearsOfThePayer(t *testing.T) {
	t.Parallel()

	bank.Withdraw.Sent(t, bank.Transfers, started).
		Replies(&bankpb.Balance{Cents: 70}).
		Then(debited).
		Sends(bank.Deposit.To("bob", &bankpb.Deposit{Cents: 30})).
		Cancels("deadline")
	bank.Withdraw.Sent(t, bank.Transfers, started).
		Fails(bank.ErrInsufficient).
		Then(&bankpb.TransferFailed{Reason: bank.ErrInsufficient.Error()}).
		Sends()
	bank.Withdraw.Sent(t, bank.Transfers, started, expired).
		Replies(&bankpb.Balance{Cents: 70}).
		Then(&bankpb.TransferRefunding{Reason: "the payer was too late"}).
		Sends(bank.Deposit.To("ann", &bankpb.Deposit{Cents: 30}))
}

func TestTransferHearsOfThePayee(t *testing.T) {
	t.Parallel()

	bank.Deposit.Sent(t, bank.Transfers, started, debited).
		Replies(&bankpb.Balance{Cents: 30}).
		Then(&bankpb.TransferCompleted{}).
		Sends()
	bank.Deposit.Sent(t, bank.Transfers, started, debited).
		Fails(bank.ErrNoAccount).
		Then(&bankpb.TransferRefunding{Reason: bank.ErrNoAccount.Error()}).
		Sends(bank.Deposit.To("ann", &bankpb.Deposit{Cents: 30}))
}

// The whole bank in virtual time: one transfer arrives, one is refunded because
// nobody takes the money, one fails because there is none.
func TestTransfers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, bank.Accounts, bank.Transfers)
		for _, id := range []string{"ann", "bob"} {
			_, err := bank.Open.Ask(t.Context(), system, id, &bankpb.Open{Owner: id})
			require.NoError(t, err)
		}
		_, err := bank.Deposit.Ask(t.Context(), system, "ann", &bankpb.Deposit{Cents: 100})
		require.NoError(t, err)

		for id, cents := range map[string]int64{"bob": 30, "nobody": 40, "bob  2": 1000} {
			_, err := bank.Transfer.Ask(t.Context(), system, id, &bankpb.Transfer{From: "ann", To: strings.Fields(id)[0], Cents: cents})
			require.NoError(t, err)
		}
		<-time.After(2 * bank.Deadline)

		for id, want := range map[string]*bankpb.TransferStatus{
			"bob":    {Stage: bank.Completed},
			"nobody": {Stage: bank.Failed, Reason: bank.ErrNoAccount.Error()},
			"bob  2": {Stage: bank.Failed, Reason: bank.ErrInsufficient.Error()},
		} {
			got, err := bank.ShowTransfer.Ask(t.Context(), system, id, &bankpb.ShowTransfer{})
			require.NoError(t, err)
			require.Equal(t, want.Stage, got.Stage, id)
			require.Equal(t, want.Reason, got.Reason, id)
		}
		require.EqualValues(t, 70, cents(t, system, "ann"))
		require.EqualValues(t, 30, cents(t, system, "bob"))
	})
}

// The payer cannot be reached for longer than the deadline: the bank that knows the account
// is not there. The money comes back when it is.
func TestTransferExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		away := actorstest.Start(t, bank.Transfers)
		_, err := bank.Transfer.Ask(t.Context(), away, "t1", &bankpb.Transfer{From: "ann", To: "bob", Cents: 30})
		require.NoError(t, err)
		<-time.After(2 * bank.Deadline)
		away.Stop()

		system := actorstest.StartWith(t, actors.Config{Journal: away.Journal(), Aggregates: []actors.Definition{bank.Accounts}})
		_, err = bank.Open.Ask(t.Context(), system, "ann", &bankpb.Open{})
		require.NoError(t, err)
		_, err = bank.Deposit.Ask(t.Context(), system, "ann", &bankpb.Deposit{Cents: 100})
		require.NoError(t, err)
		system.Stop()
		system = actorstest.StartWith(t, actors.Config{Journal: away.Journal(), Aggregates: []actors.Definition{bank.Accounts, bank.Transfers}})
		<-time.After(time.Minute)

		require.Len(t, system.Events("account-ann"), 4, "opened, paid in, withdrawn, refunded")
		require.EqualValues(t, 100, cents(t, system, "ann"))
		got, err := bank.ShowTransfer.Ask(t.Context(), system, "t1", &bankpb.ShowTransfer{})
		require.NoError(t, err)
		require.Equal(t, bank.Failed, got.Stage)
	})
}

func cents(t *testing.T, of actors.Asker, id string) int64 {
	t.Helper()
	balance, err := bank.Show.Ask(t.Context(), of, id, &bankpb.Show{})
	require.NoError(t, err)
	return balance.Cents
}
