//go:build unix

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
	"github.com/stele-es/stele/persistence/sqlite"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{"move money": moveMoney, "crowd": crowd})
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(pgtest.Main(m))
}

const (
	people = 5
	each   = 1000
)

// open opens a journal on Postgres by its URL, or on SQLite by its path.
func open(ctx context.Context, where string) (persistence.Journal, error) {
	if strings.HasPrefix(where, "postgres") {
		return postgres.Open(ctx, postgres.Config{URL: where, Durability: postgres.Relaxed}) // as the server of the tests
	}
	return sqlite.Open(ctx, sqlite.Config{Path: where})
}

// moveMoney starts a transfer for each line that it is given, and says so on standard
// output. Every fifth goes to somebody without an account.
func moveMoney(ctx context.Context, arguments []string) error {
	journal, err := open(ctx, arguments[0])
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
	for wishes := bufio.NewScanner(os.Stdin); wishes.Scan(); {
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
	return errors.New("nobody wishes anything any more")
}

// A bank that is killed in the middle of its transfers again and again loses no
// money, and every transfer that it has said was started ends.
func TestLongKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "bank.db")
	var started []string
	for range 8 {
		child := begin(t, path)
		started = append(started, child.start(5+rand.IntN(100))...) //nolint:gosec // a story
		child.Kill()
	}
	require.Greater(t, len(started), 50)

	settled(t, path, started)
}

// The same with two banks on one journal that know nothing of each other: one of them
// is killed again and again, and the other delivers what it has left, besides its own.
func TestLongKillOneOfTwo(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	const kills = 20
	banks := []bankProcess{begin(t, url), begin(t, url)}
	var started []string
	for i := range kills {
		killed := i % 2
		for _, at := range []int{1 - killed, killed} {
			started = append(started, banks[at].start(3+rand.IntN(12))...) //nolint:gosec // a story
		}
		banks[killed].Kill()
		banks[killed] = begin(t, url)
	}
	for _, child := range banks {
		child.Kill()
	}
	require.Greater(t, len(started), 4*kills)

	settled(t, url, started)
}

// bankProcess is a bank in a process of its own.
type bankProcess struct{ *killtest.Child }

func begin(t *testing.T, where string) bankProcess {
	t.Helper()
	return bankProcess{killtest.Start(t, "move money", where)}
}

// start has the bank start so many transfers, and returns those of which it has said
// that they are started. What they send is on its way then.
func (b bankProcess) start(count int) (started []string) {
	b.Say(strings.Repeat("\n", count-1)) // to one that has ended, perhaps
	for range count {
		if id, said := b.Line(); said {
			started = append(started, id)
		}
	}
	return started
}

// settled starts a bank on what the killed ones have left, and waits until all of the
// money is on accounts again and every transfer has ended.
func settled(t *testing.T, where string, started []string) {
	t.Helper()
	journal, err := open(t.Context(), where)
	require.NoError(t, err)
	node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers}})
	require.NoError(t, err)

	require.Eventually(t, func() bool {
		var all int64
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
	require.Equal(t, len(started), completed+failed)
	require.NoError(t, node.Stop(t.Context()))
	require.NoError(t, journal.Close())
}
