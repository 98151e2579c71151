//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

var killFor = flag.Duration("kill-for", 15*time.Second, "how long six banks on one journal are killed and halted")

// What six banks are like.
const (
	banks     = 6
	customers = 16 // of each at the same time
	accounts  = 6
	funds     = 10_000 // in each account
	// drained is how long a node may take to end what the killed ones have left, for each
	// 50,000 commands of it, and at least.
	drained = time.Minute
)

func accountOf(i int) string { return fmt.Sprint("a", i) }

// crowd has customers start transfers without a pause, and says of each on standard
// output that it was started. What fails is asked again under its key, so that each is
// started once.
func crowd(ctx context.Context, arguments []string) error {
	name, where := arguments[0], arguments[1]
	journal, err := open(ctx, where)
	if err != nil {
		return err
	}
	node, err := stele.Start(ctx, stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers},
		Logger: slog.New(slog.DiscardHandler), // conflicts are what it is about
	})
	if err != nil {
		return err
	}
	failed := make(chan error, customers)
	for customer := range customers {
		go func() { failed <- shop(ctx, node, fmt.Sprintf("%s-%d", name, customer)) }() // ends with the process
	}
	return <-failed
}

func shop(ctx context.Context, node *stele.Node, name string) error {
	for i := 0; ; i++ {
		id := fmt.Sprint(name, "-", i)
		from, to := rand.IntN(accounts), rand.IntN(accounts+1)                                              //nolint:gosec // a story; the last has no account
		wish := &bankpb.Transfer{From: accountOf(from), To: accountOf(to), Cents: int64(1 + rand.IntN(50))} //nolint:gosec // a story
		for {
			_, err := bank.Transfer.Ask(ctx, node, id, wish, actors.Once("start"))
			if err == nil {
				break
			}
			if _, runtime := errors.AsType[*persistence.Error](err); !runtime {
				return fmt.Errorf("transfer %s: %w", id, err)
			}
			time.Sleep(20 * time.Millisecond) // a customer's patience, in a process of its own
		}
		fmt.Println(id)
	}
}

// Six banks on one journal that know nothing of each other are killed and halted again
// and again, and in the end all at once. The one that comes after them ends what they
// have left in a minute for each 50,000 commands, serves customers meanwhile, and no
// money is lost or made.
func TestLongKillSix(t *testing.T) {
	t.Parallel()
	url := pgtest.URL(t)
	journal, err := open(t.Context(), url)
	require.NoError(t, err)
	host := func() *stele.Node {
		node, err := stele.Start(t.Context(), stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts, bank.Transfers}})
		require.NoError(t, err)
		return node
	}
	node := host()
	for i := range accounts {
		_, err := bank.Open.Ask(t.Context(), node, accountOf(i), &bankpb.Open{})
		require.NoError(t, err)
		_, err = bank.Deposit.Ask(t.Context(), node, accountOf(i), &bankpb.Deposit{Cents: funds})
		require.NoError(t, err)
	}
	require.NoError(t, node.Stop(t.Context()))

	started, kills, pauses := torment(t, url)
	left := examine(t, journal)
	began := time.Now()
	node = host()
	reads := serveUntil(t, node, func() bool {
		stats := node.Stats()
		return stats.Recoveries >= uint64(left.underWay) && stats.Pending == 0 //nolint:gosec // a number of transfers
	}, max(drained, drained*time.Duration(left.open)/50_000))
	took := time.Since(began)

	slices.Sort(reads)
	t.Logf("%d transfers started in %s, %d kills, %d pauses; %d transfers with %d open commands were left, and ended in %s; %d reads beside them: half within %s, 99 %% within %s, all within %s",
		len(started), *killFor, kills, pauses, left.underWay, left.open, took.Round(time.Millisecond),
		len(reads), reads[len(reads)/2], reads[len(reads)*99/100], reads[len(reads)-1])
	after := examine(t, journal)
	require.Zero(t, after.open)
	require.Zero(t, after.underWay)
	for _, id := range started {
		_, found := after.ends[id]
		require.True(t, found, "transfer %s was acknowledged", id)
	}
	for id, ends := range after.ends {
		if ends != 1 {
			t.Errorf("transfer %s has ended %d times", id, ends)
		}
	}
	for command, at := range after.done {
		if len(at) > 1 {
			t.Errorf("command %x was done more than once: %v", command, at)
		}
	}
	var all int64
	for i := range accounts {
		balance, err := bank.Show.Ask(t.Context(), node, accountOf(i), &bankpb.Show{})
		require.NoError(t, err)
		require.GreaterOrEqual(t, balance.Cents, int64(0))
		require.Equal(t, after.cents[accountOf(i)], balance.Cents, "by its events")
		all += balance.Cents
	}
	require.EqualValues(t, accounts*funds, all)
	require.NoError(t, node.Stop(t.Context()))
	require.NoError(t, journal.Close())
}

// torment runs six banks, each of which lives for some seconds and is killed, one in
// three after it was halted for a while, and returns the transfers of which they have
// said that they were started.
func torment(t *testing.T, url string) (started []string, kills, pauses int) {
	t.Helper()
	var mu sync.Mutex // protects what is returned
	var group sync.WaitGroup
	end := time.Now().Add(*killFor)
	for b := range banks {
		group.Go(func() { // awaited below
			for life := 0; time.Now().Before(end); life++ {
				said, halted := oneLife(t, url, fmt.Sprintf("b%dl%d", b, life), end)
				mu.Lock()
				started = append(started, said...)
				if kills++; halted {
					pauses++
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	return started, kills, pauses
}

func oneLife(t *testing.T, url, name string, end time.Time) (started []string, halted bool) {
	t.Helper()
	child := killtest.Start(t, "crowd", name, url)
	halted = rand.IntN(3) == 0                                                                                    //nolint:gosec // a story
	life := min(time.Duration(2000+rand.IntN(6000))*time.Millisecond, max(time.Until(end), 100*time.Millisecond)) //nolint:gosec // a story
	go func() {                                                                                                   // ends before the output does
		<-time.After(life / 2)
		if halted {
			child.Halt()
			<-time.After(min(time.Duration(1000+rand.IntN(3000))*time.Millisecond, max(time.Until(end), 0))) //nolint:gosec // a story
			child.Continue()
		}
		<-time.After(life / 2)
		child.Stab()
	}()
	return child.Rest(), halted
}

// serveUntil asks for a balance every ten milliseconds, and returns how long the answers
// took when there is no more to wait for.
func serveUntil(t *testing.T, node *stele.Node, done func() bool, limit time.Duration) (reads []time.Duration) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for began := time.Now(); len(reads) == 0 || !done(); <-ticker.C {
		require.Less(t, time.Since(began), limit, "it is not over: %+v", node.Stats())
		asked := time.Now()
		_, err := bank.Show.Ask(t.Context(), node, accountOf(len(reads)%accounts), &bankpb.Show{})
		require.NoError(t, err)
		reads = append(reads, time.Since(asked))
	}
	return reads
}

// books is what the events say.
type books struct {
	cents    map[string]int64
	ends     map[string]int      // of each transfer that was started
	underWay int                 // transfers that have not ended
	open     int                 // commands that were sent and are not done
	done     map[string][]string // where the commands stand that have changed accounts
}

// examine reads the whole journal, without the runtime.
func examine(t *testing.T, journal persistence.Journal) books {
	t.Helper()
	b := books{cents: map[string]int64{}, ends: map[string]int{}, done: map[string][]string{}}
	versions, offset := map[persistence.StreamID]persistence.Version{}, int64(0)
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{System: true}) {
		require.NoError(t, err)
		for _, e := range page.Events {
			if offset+1 != e.Position.Offset || versions[e.Stream]+1 != e.Version {
				t.Errorf("%s %d at %s follows version %d and position %d", e.Stream, e.Version, e.Position, versions[e.Stream], offset)
			}
			offset, versions[e.Stream] = e.Position.Offset, e.Version
			b.enter(t, &e)
		}
	}
	for _, ends := range b.ends {
		if ends == 0 {
			b.underWay++
		}
	}
	return b
}

// enter counts one event. A transfer has one command open in each of its stages, and the
// timer until the payer has paid.
func (b *books) enter(t *testing.T, e *persistence.Recorded) {
	t.Helper()
	id := strings.TrimPrefix(string(e.Stream), e.Stream.Category()+"-")
	if e.Stream.Category() == "account" {
		var about stelev1.Headers
		require.NoError(t, proto.Unmarshal(e.Headers, &about))
		command := string(about.GetCommandId())
		b.done[command] = append(b.done[command], fmt.Sprint(e.Stream, " ", e.Version, " ", e.Type, " ", e.At))
	}
	switch e.Type {
	case "bank.v1.Deposited":
		paid := &bankpb.Deposited{}
		require.NoError(t, proto.Unmarshal(e.Payload, paid))
		b.cents[id] += paid.Cents
	case "bank.v1.Withdrawn":
		paid := &bankpb.Withdrawn{}
		require.NoError(t, proto.Unmarshal(e.Payload, paid))
		b.cents[id] -= paid.Cents
	case "bank.v1.TransferStarted":
		_, before := b.ends[id]
		require.False(t, before, "transfer %s was started before", id)
		b.ends[id] = 0
		b.open += 2
	case "bank.v1.TransferDebited":
		b.open--
	case "bank.v1.TransferCompleted":
		b.ends[id]++
		b.open--
	case "bank.v1.TransferFailed":
		b.ends[id]++
		if b.debited(e.Version) {
			b.open--
		} else {
			b.open -= 2
		}
	}
}

// debited reports that a transfer which failed at a version had been paid: it was
// started, debited, and to be refunded before.
func (*books) debited(failed persistence.Version) bool { return failed > 2 }
