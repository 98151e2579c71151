package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

// killAfter makes the test binary the program itself, which kills itself with
// signal 9 when so many appends are stored.
const killAfter = "GITLEDGER_TEST_KILL_AFTER"

func TestMain(m *testing.M) {
	if appends, err := strconv.ParseInt(os.Getenv(killAfter), 10, 64); err == nil {
		os.Exit(mortal(appends).main(context.Background(), os.Args[1:]))
	}
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(pgtest.Main(m))
}

func mortal(appends int64) *program {
	return &program{out: os.Stdout, screen: os.Stderr, open: func(ctx context.Context, url string, relaxed bool) (persistence.Journal, error) {
		journal, err := openJournal(ctx, url, relaxed)
		if err != nil {
			return nil, err
		}
		return onCommit(journal, appends, func() {
			if self, err := os.FindProcess(os.Getpid()); err == nil {
				_ = self.Kill()
			}
			select {} // never acknowledge what was stored last
		}), nil
	}}
}

func TestLongKilledAndStartedAgain(t *testing.T) {
	t.Parallel()
	for name, journal := range map[string]func(testing.TB) ledger{"sqlite": inSQLite, "postgres": inPostgres} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := randomRepository(t, 42, 1500), journal(t)
			program, err := os.Executable()
			require.NoError(t, err)
			events := 0

			// The first append is that of the ledger; the others are before its first
			// note, after it and near the end.
			for _, appends := range []string{"1", "2", "300", "1000", "900"} {
				child := exec.CommandContext(t.Context(), program, "--journal", l.url, "--relaxed", dir)
				child.Env = append(os.Environ(), killAfter+"="+appends)
				output, err := child.CombinedOutput()

				require.ErrorContains(t, err, "signal: killed", string(output))
				now := len(l.read(t))
				require.Greater(t, now, events)
				events = now
			}

			commits, changes := changesOf(t, dir, "")
			require.Less(t, events, changes)
			r := l.run(t, dir)
			require.Zero(t, r.status, r.out+r.screen)
			require.NotContains(t, r.out, "recorded "+strconv.Itoa(commits)+" commits", "the ledger saved nothing")
			l.requireOnce(t, dir)
			require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", "HEAD"), l.run(t, "--state-at", "HEAD", dir).out)
			require.True(t, strings.HasPrefix(l.run(t, dir).out, "recorded 0 commits, 0 changes"))
		})
	}
}
