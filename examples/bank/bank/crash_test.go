package bank_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// steps is the most appends of a transfer: start, withdrawal, hearing of it,
// payment, hearing of it, and as many for a refund.
const steps = 7

// death is where a system dies: at an append, before or after it is stored. All that
// happens in a transfer happens between two of them.
type death struct {
	at     int
	stored bool
}

// A system dies at every step of a transfer that arrives and of one that is
// refunded, and the next one at every step again. The money is always there, and the
// transfer ends.
func TestLongCrashAtEveryStep(t *testing.T) {
	t.Parallel()
	var died atomic.Int64
	for _, to := range []string{"bob", "nobody"} {
		for first := 1; first <= steps; first++ {
			for second := range 3 {
				for _, stored := range []bool{false, true} {
					deaths := []death{{first, stored}, {second + 1, second%2 == 0}}
					t.Run(fmt.Sprintf("to %s %v", to, deaths), func(t *testing.T) {
						synctest.Test(t, func(t *testing.T) { died.Add(crashes(t, to, deaths)) })
					})
				}
			}
		}
	}
	require.Greater(t, died.Load(), int64(90))
}

func crashes(t *testing.T, to string, deaths []death) (died int64) {
	t.Helper()
	var next atomic.Pointer[death]
	var appends atomic.Int64
	dying := make(chan struct{}, 1)
	journal := actorstest.Faulty(new(memory.Journal), func(*persistence.Append, int) actorstest.Fault {
		<-time.After(time.Millisecond) // in which the test says where this system dies
		d := next.Load()
		if d == nil {
			return actorstest.Fault{}
		}
		n := int(appends.Add(1))
		if n == d.at {
			dying <- struct{}{}
		}
		switch {
		case n < d.at:
			return actorstest.Fault{}
		case n == d.at && d.stored:
			return actorstest.Fault{Lost: true}
		}
		return actorstest.Fault{Before: &persistence.UnavailableError{Reason: "the process is dying"}}
	})
	system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{bank.Accounts, bank.Transfers}})
	fill(t, system)
	var started bool

	for _, d := range deaths {
		appends.Store(0)
		next.Store(&d)
		if !started {
			// Whether it has started or not is asked again: the key makes it one transfer.
			_, _ = bank.Transfer.Ask(t.Context(), system, "t1", &bankpb.Transfer{From: "ann", To: to, Cents: 30}, actors.Once("t1"))
			started = true
		}
		select {
		case <-dying:
			died++
		case <-time.After(time.Minute):
		}
		system.Crash()
		next.Store(nil)
	}
	_, err := bank.Transfer.Ask(t.Context(), system, "t1", &bankpb.Transfer{From: "ann", To: to, Cents: 30}, actors.Once("t1"))
	require.NoError(t, err)
	<-time.After(time.Minute)

	require.Contains(t, []string{bank.Completed, bank.Failed}, stage(t, system, "t1"))
	require.EqualValues(t, 100, cents(t, system, "ann")+cents(t, system, "bob"))
	require.Equal(t, to == "bob", cents(t, system, "bob") == 30)
	system.Stop()
	require.NoError(t, journal.Close())
	return died
}

func fill(t *testing.T, of actors.Asker) {
	t.Helper()
	for _, id := range []string{"ann", "bob"} {
		_, err := bank.Open.Ask(t.Context(), of, id, &bankpb.Open{Owner: id})
		require.NoError(t, err)
	}
	_, err := bank.Deposit.Ask(t.Context(), of, "ann", &bankpb.Deposit{Cents: 100})
	require.NoError(t, err)
}

func stage(t *testing.T, of actors.Asker, id string) string {
	t.Helper()
	status, err := bank.ShowTransfer.Ask(t.Context(), of, id, &bankpb.ShowTransfer{})
	require.NoError(t, err)
	return status.Stage
}

// Whatever goes wrong, and however often the system crashes, the money is there and
// every transfer ends.
func TestLongSimulation(t *testing.T) {
	t.Parallel()
	const people, transfers, each = 4, 30, 100
	person := func(i int) string { return fmt.Sprint("p", i%(people+1)) } // the last has no account
	actorstest.Simulation{
		Aggregates: []actors.Definition{bank.Accounts, bank.Transfers},
		Config:     actors.Config{Idle: 5 * time.Second},
		Rates:      actorstest.Rates{Before: 0.1, Lost: 0.1, Zombie: 0.05, Twice: 0.05, Delay: time.Second},
		Seeds:      8,
	}.Run(t, func(t *testing.T, run *actorstest.Run) {
		for i := range people {
			until(t, run, func() error {
				_, err := bank.Open.Ask(t.Context(), run, person(i), &bankpb.Open{}, actors.Once("o"))
				return err
			})
			until(t, run, func() error {
				_, err := bank.Deposit.Ask(t.Context(), run, person(i), &bankpb.Deposit{Cents: each}, actors.Once("d"))
				return err
			})
		}
		for i := range transfers {
			id := fmt.Sprint("t", i)
			until(t, run, func() error {
				_, err := bank.Transfer.Ask(t.Context(), run, id, &bankpb.Transfer{From: person(i % people), To: person(i + 1 + i/5), Cents: int64(20 + i)}, actors.Once(id))
				return err
			})
			if run.Chance().IntN(4) == 0 {
				run.Crash()
			}
		}
		<-time.After(3 * bank.Deadline)

		var all int64
		for i := range people {
			until(t, run, func() error {
				balance, err := bank.Show.Ask(t.Context(), run, person(i), &bankpb.Show{})
				all += balance.GetCents()
				return err
			})
		}
		require.EqualValues(t, people*each, all)
		for i := range transfers {
			until(t, run, func() error {
				status, err := bank.ShowTransfer.Ask(t.Context(), run, fmt.Sprint("t", i), &bankpb.ShowTransfer{})
				if err == nil {
					require.Contains(t, []string{bank.Completed, bank.Failed}, status.Stage, i)
				}
				return err
			})
		}
	})
}

// until repeats what fails for reasons of the runtime.
func until(t *testing.T, run *actorstest.Run, do func() error) {
	t.Helper()
	for range 1000 {
		err := do()
		if err == nil {
			return
		}
		require.Contains(t, []persistence.ErrorKind{persistence.ErrConflict, persistence.ErrUnavailable, persistence.ErrUnknownOutcome}, persistence.ErrorKindOf(err), err)
		run.Pause(5 * time.Second)
	}
	t.Fatal("no outcome")
}
