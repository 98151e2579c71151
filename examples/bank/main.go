// Command bank keeps accounts in one SQLite file. Without arguments it tells a
// short story; the next time the account is there already, with its money.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

var story = []string{"open ann", "deposit ann 100", "withdraw ann 1000000", "withdraw ann 30", "show ann"}

func main() {
	lines := story
	if len(os.Args) > 1 {
		lines = []string{strings.Join(os.Args[1:], " ")}
	}
	err := os.MkdirAll(".stele", 0o755)
	if err == nil {
		err = run(context.Background(), ".stele/bank.db", lines, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bank:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, path string, lines []string, out io.Writer) (err error) {
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(ctx)) }()

	for _, line := range lines {
		balance, err := ask(ctx, node, line)
		switch {
		case err == nil:
			fmt.Fprintf(out, "%-22s %d cents\n", line, balance.Cents)
		case persistence.ErrorKindOf(err) == persistence.ErrRejected: // the account says no
			fmt.Fprintf(out, "%-22s refused: %s\n", line, err)
		default: // the system could not do it
			return err
		}
	}
	return nil
}

func ask(ctx context.Context, node *stele.Node, line string) (*bankpb.Balance, error) {
	var verb, id string
	var cents int64
	_, _ = fmt.Sscan(line, &verb, &id, &cents) // what is missing is zero, which the account refuses
	switch verb {
	case "open":
		return bank.Open.Ask(ctx, node, id, &bankpb.Open{Owner: id})
	case "deposit":
		return bank.Deposit.Ask(ctx, node, id, &bankpb.Deposit{Cents: cents})
	case "withdraw":
		return bank.Withdraw.Ask(ctx, node, id, &bankpb.Withdraw{Cents: cents})
	case "show":
		return bank.Show.Ask(ctx, node, id, &bankpb.Show{})
	}
	return nil, errors.New("the bank knows open, deposit, withdraw and show")
}
