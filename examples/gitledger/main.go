// Command gitledger turns the history of a git repository into events and
// proves that nothing was lost on the way: afterwards it asks every file for its
// state and compares with what git lists.
//
//	go run ./examples/gitledger [--journal URL] [--relaxed] [--state-at MOMENT | --authors] [REPO]
//
// Each path is an aggregate of its own, and each change of a commit against its
// first parent a command to one. A second run adds what is new; a run that was
// killed is taken up where it stopped. With --state-at it imports nothing and
// prints the tree as of a commit or a position of the journal, with --authors the lines
// of history by author and month.
//
// The exit status is 0 if all is equal, 1 if there are differences, which are
// printed, and 2 in case of trouble.
//
// The program does not know what a commit means to git: it runs git to read.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/persistence"
)

const usage = `usage: gitledger [--journal URL] [--relaxed] [--state-at MOMENT | --authors] [REPO]

Turns the history of the git repository REPO (default: the one here) into
events and compares the outcome with git ls-tree -r HEAD.

`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := program{out: os.Stdout, screen: os.Stderr, open: openJournal}
	status := p.main(ctx, os.Args[1:])
	stop()
	os.Exit(status)
}

// errDifferent says that the files are not what git lists.
var errDifferent = errors.New("the files differ from the tree of git")

// program is one run. Its result goes to out, anything else to screen.
type program struct {
	out, screen io.Writer
	open        func(ctx context.Context, url string, relaxed bool) (persistence.Journal, error)
	journal     string
	relaxed     bool
	moment      string
	authors     bool
	directory   string
}

// main returns the exit status.
func (p *program) main(ctx context.Context, arguments []string) int {
	flags := flag.NewFlagSet("gitledger", flag.ContinueOnError)
	flags.SetOutput(p.screen)
	flags.Usage = func() {
		fmt.Fprint(p.screen, usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&p.journal, "journal", "", "where the events are kept: sqlite:PATH, postgres://… or memory:\n"+
		"(default: an SQLite file for each repository in ./.stele)")
	flags.BoolVar(&p.relaxed, "relaxed", false, "do not wait for the disk: faster, and possible with a Postgres server for tests")
	flags.StringVar(&p.moment, "state-at", "", "only print the tree as of a commit, or of a position of the journal (a number)")
	flags.BoolVar(&p.authors, "authors", false, "only print the lines of history by author and month")
	switch err := flags.Parse(arguments); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	case flags.NArg() > 1:
		fmt.Fprintf(p.screen, "gitledger: give one repository, behind the flags, instead of %q\n", flags.Args())
		return 2
	}
	p.directory = cmp.Or(flags.Arg(0), ".")

	err := p.run(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errDifferent):
		fmt.Fprintln(p.screen, "gitledger:", err)
		return 1
	case errors.Is(err, context.Canceled):
		err = errors.New("interrupted: run it again to go on")
	}
	fmt.Fprintln(p.screen, "gitledger:", err)
	return 2
}

func (p *program) run(ctx context.Context) (err error) {
	repository, err := OpenRepository(ctx, p.directory)
	if err != nil {
		return err
	}
	chain, err := repository.Chain(ctx)
	if err != nil {
		return err
	}
	if p.journal == "" {
		if len(chain) == 0 {
			fmt.Fprintln(p.screen, "the repository has no commits yet")
			return nil
		}
		p.journal = "sqlite:" + filepath.Join(".stele", "gitledger-"+chain.At(1)[:12]+".db")
	}
	journal, err := p.open(ctx, p.journal, p.relaxed)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	if p.moment != "" {
		tree, err := StateAt(ctx, journal, p.moment, repository, chain)
		if err != nil {
			return err
		}
		return tree.Print(p.out)
	}
	if p.authors {
		return printAuthors(ctx, journal, p.out)
	}
	return p.bringUpToDate(ctx, journal, repository, chain)
}

// bringUpToDate imports what is new and compares all there is.
func (p *program) bringUpToDate(ctx context.Context, journal persistence.Journal, repository *Repository, chain Chain) (err error) {
	node, err := stele.Start(ctx, stele.Config{
		Journal:      journal,
		Aggregates:   stele.Aggregates{Files, Ledgers},
		TrustCallers: true,
	})
	if err != nil {
		return err
	}
	// An interrupt ends the import, and not the commands that are under way.
	defer func() { err = errors.Join(err, node.Stop(ctx)) }()

	started := time.Now()
	imported, err := Import(ctx, node, repository, chain, p.screen)
	if err != nil {
		return err
	}
	took := time.Since(started)
	fmt.Fprintf(p.out, "recorded %d commits, %d changes in %s, %.0f changes/s\n",
		imported.Commits, imported.Changes, took.Round(time.Millisecond), float64(imported.Changes)/took.Seconds())

	want := Tree{}
	if len(chain) > 0 {
		if want, err = repository.Tree(ctx, chain.Head()); err != nil {
			return err
		}
	}
	started = time.Now()
	differences, err := Compare(ctx, node, journal, want, p.screen)
	if err != nil {
		return err
	}
	if len(differences) > 0 {
		fmt.Fprintln(p.out, strings.Join(differences, "\n"))
		return fmt.Errorf("%w: %d lines", errDifferent, len(differences))
	}
	fmt.Fprintf(p.out, "%d files equal git ls-tree -r HEAD, compared in %s\n", len(want), time.Since(started).Round(time.Millisecond))
	return nil
}
