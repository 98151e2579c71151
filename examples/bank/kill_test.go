package main

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence/sqlite"
)

// asChild as first argument makes the test program a bank that moves money until it
// is killed.
const asChild = "-move-money"

func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == asChild {
		fmt.Fprintln(os.Stderr, moveMoney(context.Background(), os.Args[2]))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}

const (
	people = 5
	each   = 1000
)

// moveMoney starts one transfer after the other, and says so on standard output. Every
// fifth goes to somebody without an account.
func moveMoney(ctx context.Context, path string) error {
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers}})
	if err != nil {
		return err
	}
	for i := range people {
		if _, err := bank.Open.Ask(ctx, node, fmt.Sprint(i), &bankpb.Open{}); err != nil {
			continue // it was opened before, or it will be missed
		}
		if _, err := bank.Deposit.Ask(ctx, node, fmt.Sprint(i), &bankpb.Deposit{Cents: each}, actors.Once("first")); err != nil {
			return err
		}
	}
	fmt.Println("ready")
	for {
		id := fmt.Sprint(os.Getpid(), "-", rand.Uint64()) //nolint:gosec // a name
		from, to := rand.IntN(people), rand.IntN(people)  //nolint:gosec // a story
		if to == 0 {
			to = people
		}
		if _, err := bank.Transfer.Ask(ctx, node, id, &bankpb.Transfer{From: fmt.Sprint(from), To: fmt.Sprint(to), Cents: 1}); err != nil {
			return err
		}
		fmt.Println(id)
	}
}

// A bank that is killed in the middle of its transfers again and again loses no
// money, and every transfer that it has said was started ends.
func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bank.db")
	var started []string
	for range 8 {
		child := exec.CommandContext(t.Context(), os.Args[0], asChild, path)
		child.Stderr = t.Output()
		out, err := child.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, child.Start())
		lines := bufio.NewScanner(out)
		for after := 5 + rand.IntN(100); after > 0 && lines.Scan(); after-- { //nolint:gosec // a story
			if id := lines.Text(); id != "ready" {
				started = append(started, id)
			}
		}
		require.NoError(t, child.Process.Kill())
		_ = child.Wait() // it was killed
	}
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers}})
	require.NoError(t, err)
	require.Greater(t, len(started), 50)

	var all int64
	require.Eventually(t, func() bool {
		all = 0
		for i := range people {
			balance, err := bank.Show.Ask(t.Context(), node, fmt.Sprint(i), &bankpb.Show{})
			require.NoError(t, err)
			all += balance.Cents
		}
		return all == people*each // what is on its way is missing
	}, time.Minute, 10*time.Millisecond)
	completed, failed := 0, 0
	for _, id := range started {
		require.Eventually(t, func() bool {
			status, err := bank.ShowTransfer.Ask(t.Context(), node, id, &bankpb.ShowTransfer{})
			require.NoError(t, err, id)
			switch status.Stage {
			case bank.Completed:
				completed++
			case bank.Failed:
				failed++
			default:
				return false
			}
			return true
		}, time.Minute, 10*time.Millisecond)
	}
	t.Logf("%d transfers arrived, %d did not", completed, failed)
	require.NoError(t, node.Stop(t.Context()))
	require.NoError(t, journal.Close())
}
