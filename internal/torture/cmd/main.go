// Command cmd tortures the Postgres journal for as long as it is told, on servers
// of its own:
//
//	go run ./internal/torture/cmd -duration 1h                all programs in turn
//	go run ./internal/torture/cmd -seed 42 -rounds 1 path     one of them, once more
//
// It prints what each round did and found. The exit code is 1 when anything was
// found; the line that runs the round again stands beside it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/internal/torture"
	"github.com/stele-es/stele/persistence/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// plan holds the choices of the command line.
type plan struct {
	duration time.Duration
	length   time.Duration
	crashes  int
	rounds   int
	seed     uint64
	programs []program
}

// program is one way of torture.
type program struct {
	name string
	run  func(ctx context.Context, p *plan, s *servers, seed uint64) (*torture.Report, error)
}

// programs are all there are, in the order in which they take turns.
func programs() []program {
	return []program{
		{"order16", order(16)},
		{"order64", order(64)},
		{"path", func(ctx context.Context, p *plan, s *servers, seed uint64) (*torture.Report, error) {
			target, err := s.fast.target(ctx, seed, postgres.Config{Durability: postgres.Relaxed, BatchEvents: 16})
			if err != nil {
				return nil, err
			}
			return torture.Path{Target: target, Duration: p.length}.Run(ctx)
		}},
		{"crash", crash("lock until the flush", postgres.Config{EarlyRelease: postgres.EarlyOff})},
		{"crash-early", crash("release before the flush", postgres.Config{EarlyRelease: postgres.EarlyOn})},
	}
}

func order(connections int) func(context.Context, *plan, *servers, uint64) (*torture.Report, error) {
	return func(ctx context.Context, p *plan, s *servers, seed uint64) (*torture.Report, error) {
		target, err := s.fast.target(ctx, seed, postgres.Config{Durability: postgres.Relaxed})
		if err != nil {
			return nil, err
		}
		return torture.Order{Target: target, Connections: connections, Duration: p.length}.Run(ctx)
	}
}

func crash(mode string, config postgres.Config) func(context.Context, *plan, *servers, uint64) (*torture.Report, error) {
	return func(ctx context.Context, p *plan, s *servers, seed uint64) (*torture.Report, error) {
		target, err := s.slow.target(ctx, seed, config)
		if err != nil {
			return nil, err
		}
		return torture.Crash{Target: target, Server: s.slow, Rounds: p.crashes, Mode: mode}.Run(ctx)
	}
}

// run returns the exit code: 2 when the command line is wrong, 1 when a fault was
// found or the programs could not run.
func run(ctx context.Context, args []string, out, log io.Writer) int {
	p, err := parse(args, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(log, "torture:", err)
		return 2
	}
	broken, err := p.torture(ctx, out)
	if err != nil {
		fmt.Fprintln(log, "torture:", err)
	}
	if broken > 0 || err != nil {
		return 1
	}
	return 0
}

func parse(args []string, log io.Writer) (*plan, error) {
	p := new(plan)
	flags := flag.NewFlagSet("torture", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.DurationVar(&p.duration, "duration", 10*time.Minute, "begin no further round after this `time`")
	flags.DurationVar(&p.length, "length", 10*time.Second, "have a round write for this `time`")
	flags.IntVar(&p.crashes, "crashes", 10, "crash the server this `often` in a round")
	flags.IntVar(&p.rounds, "rounds", 0, "end after this `many` rounds; 0 is no limit")
	flags.Uint64Var(&p.seed, "seed", rand.Uint64N(1_000_000), "begin with this `seed`; each further round adds one")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	for _, program := range programs() {
		if flags.NArg() == 0 || slices.Contains(flags.Args(), program.name) {
			p.programs = append(p.programs, program)
		}
	}
	if len(p.programs) < flags.NArg() || len(p.programs) == 0 {
		var names []string
		for _, program := range programs() {
			names = append(names, program.name)
		}
		return nil, fmt.Errorf("the programs are %s", strings.Join(names, ", "))
	}
	return p, nil
}

// torture runs rounds until the time is over, and returns how many found a fault.
func (p *plan) torture(ctx context.Context, out io.Writer) (broken int, err error) {
	s, err := startServers(ctx)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	begun, round := time.Now(), 0
	for ; (p.rounds == 0 || round < p.rounds) && time.Since(begun) < p.duration; round++ {
		seed := p.seed + uint64(round) //nolint:gosec // it counts up from 0
		for _, program := range p.programs {
			report, err := program.run(ctx, p, s, seed)
			if err != nil {
				return broken, fmt.Errorf("%s with seed %d: %w", program.name, seed, err)
			}
			fmt.Fprintln(out, report)
			if len(report.Faults) > 0 {
				broken++
				fmt.Fprintf(out, "again: go run ./internal/torture/cmd -seed %d -rounds 1 -length %s -crashes %d %s\n\n", seed, p.length, p.crashes, program.name)
			}
		}
	}
	fmt.Fprintf(out, "%d rounds of %d programs in %s, first seed %d: faults in %d\n", round, len(p.programs), time.Since(begun).Round(time.Second), p.seed, broken)
	return broken, nil
}

// servers are a fast one, which need not flush because it does not crash, and one
// with a slow disk, which does.
type servers struct{ fast, slow *server }

// server is one with a database for each round.
type server struct {
	*pgserver.Server
	databases int
}

func startServers(ctx context.Context) (*servers, error) {
	fast, err := pgserver.Start(ctx)
	if err != nil {
		return nil, err
	}
	slow, err := pgserver.Start(ctx, torture.Fragile()...)
	if err != nil {
		return nil, errors.Join(err, fast.Stop())
	}
	return &servers{fast: &server{Server: fast}, slow: &server{Server: slow}}, nil
}

func (s *servers) stop() error { return errors.Join(s.fast.Stop(), s.slow.Stop()) }

// target makes a database and says how its journals are opened.
func (s *server) target(ctx context.Context, seed uint64, config postgres.Config) (torture.Target, error) {
	url, err := s.database(ctx)
	if err != nil {
		return torture.Target{}, err
	}
	if err := postgres.Migrate(ctx, postgres.Config{URL: url}); err != nil {
		return torture.Target{}, err
	}
	config.PollInterval, config.ReadConnections = 50*time.Millisecond, 2
	open := func(ctx context.Context, url string) (torture.Journal, error) {
		config := config
		config.URL = url
		return postgres.Open(ctx, config)
	}
	return torture.Target{URL: url, Open: open, Seed: seed}, nil
}

// database makes one in place of that of the round before.
func (s *server) database(ctx context.Context) (url string, err error) {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return "", err
	}
	defer conn.Close(ctx)
	if _, err := conn.Exec(ctx, fmt.Sprintf("DROP DATABASE IF EXISTS torture%d WITH (FORCE)", s.databases)); err != nil {
		return "", err
	}
	s.databases++
	name := fmt.Sprintf("torture%d", s.databases)
	_, err = conn.Exec(ctx, "CREATE DATABASE "+name)
	return s.DatabaseURL(name), err
}
