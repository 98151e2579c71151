// Command bench measures stele beside what the same machine and store can do at
// best, in the same run:
//
//	go run ./bench -quick journal command               every journal, a few minutes
//	go run ./bench -journal postgres -o json journal    one journal, for programs to read
//
// Figures of different runs and machines cannot be compared, their ratios can:
// every ceiling is measured right before and right after what it is the ceiling
// of. README.md says what each figure is.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

// scenario measures one part of the system on one journal.
type scenario struct {
	name, about string
	run         func(*session) error
}

// scenarios are all there are. A new one is a line here.
func scenarios() []scenario {
	return []scenario{
		{"journal", "appends, tailing and replay, beside the store's own best", measureJournal},
		{"command", "commands of aggregates from Ask to reply, recovery, memory", measureCommand},
		{"backlog", "transfers that a crash has left, and commands beside them", measureBacklog},
		{"timers", "timers that are pending, that fire, that are found", measureTimers},
		{"projection", "catching up, many on one journal, from append to read model", measureProjection},
	}
}

// journals are all there are, with the way to get a place for them.
func journals() []backend {
	return []backend{
		{"memory", openMemory},
		{"sqlite", openSQLite},
		{"postgres", openPostgres},
	}
}

// backend opens a place where journals of one kind can be made.
type backend struct {
	name string
	open func(context.Context, settings) (store, error)
}

// settings are what backends may be told from outside.
type settings struct {
	// postgres is the URL of a server to use instead of a private one.
	postgres string
	// relaxed takes a server that does not flush, which tests do.
	relaxed bool
	// slow makes every flush of a private server take a millisecond longer.
	slow bool
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], settings{postgres: os.Getenv("STELE_BENCH_POSTGRES")}, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// plan is what the command line asks for.
type plan struct {
	scenarios []scenario
	journals  []backend
	scale     scale
	json      bool
	profile   string
}

// run returns the exit code: 2 when the command line is wrong, 1 when something
// could not be measured. A missed aim is a result, not a failure.
func run(ctx context.Context, args []string, settings settings, out, log io.Writer) int {
	p, err := parse(args, log)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		fmt.Fprintln(log, "bench:", err)
		return 2
	}
	if err := p.measure(ctx, settings, out, log); err != nil {
		fmt.Fprintln(log, "bench:", err)
		return 1
	}
	return 0
}

func parse(args []string, log io.Writer) (*plan, error) {
	p := &plan{scale: thorough()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // run says what is wrong
	flags.Usage = func() { help(flags, log) }
	quick := flags.Bool("quick", false, "measure for two minutes at most per scenario and journal")
	output := flags.String("o", "table", "`table or json`")
	journal := flags.String("journal", "", "the only `journal` to measure: memory, sqlite or postgres")
	flags.StringVar(&p.profile, "cpuprofile", "", "write a profile of this process's processor time to a `file`")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if *quick {
		p.scale = quickly()
	}
	p.json = *output == "json"
	if !p.json && *output != "table" {
		return nil, fmt.Errorf("unknown output %q: table or json", *output)
	}
	var err error
	if p.journals, err = choose("journal", journals(), func(b backend) string { return b.name }, *journal); err != nil {
		return nil, err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return nil, errors.New("name a scenario")
	}
	for _, name := range flags.Args() {
		chosen, err := choose("scenario", scenarios(), func(s scenario) string { return s.name }, name)
		if err != nil {
			return nil, err
		}
		p.scenarios = append(p.scenarios, chosen...)
	}
	return p, nil
}

// choose returns the one of this name, or all when there is no name.
func choose[T any](what string, all []T, name func(T) string, wanted string) ([]T, error) {
	if wanted == "" {
		return all, nil
	}
	names := make([]string, len(all))
	for i := range all {
		names[i] = name(all[i])
	}
	i := slices.Index(names, wanted)
	if i < 0 {
		return nil, fmt.Errorf("unknown %s %q: there are %s", what, wanted, strings.Join(names, ", "))
	}
	return all[i : i+1], nil
}

func help(flags *flag.FlagSet, log io.Writer) {
	fmt.Fprintln(log, "usage: bench [flags] SCENARIO...\n\nscenarios:")
	for _, s := range scenarios() {
		fmt.Fprintf(log, "  %-10s %s\n", s.name, s.about)
	}
	fmt.Fprintln(log, "\nflags:")
	flags.SetOutput(log)
	flags.PrintDefaults()
	fmt.Fprintln(log, "\nSTELE_BENCH_POSTGRES is the URL of a server to use instead of a private one.")
}

// measure runs every scenario on every journal.
func (p *plan) measure(ctx context.Context, settings settings, out, log io.Writer) (err error) {
	if p.profile != "" {
		file, err := os.Create(p.profile)
		if err != nil {
			return err
		}
		defer file.Close()
		if err := pprof.StartCPUProfile(file); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	r := report{Machine: thisMachine(ctx), Journals: map[string]string{}, Figures: []figure{}}
	if !p.json {
		r.Machine.describe(log)
	}
	for _, b := range p.journals {
		if err := p.measureOn(ctx, b, settings, &r, out, log); err != nil {
			return fmt.Errorf("measure on %s: %w", b.name, err)
		}
	}
	if p.json {
		return printJSON(out, r)
	}
	return nil
}

func (p *plan) measureOn(ctx context.Context, b backend, settings settings, r *report, out, log io.Writer) (err error) {
	store, err := b.open(ctx, settings)
	if err != nil {
		return err
	}
	// What is left behind must go even when the run was interrupted.
	defer func() { err = errors.Join(err, store.close(context.WithoutCancel(ctx))) }()
	r.Journals[b.name] = store.about()
	if !p.json {
		fmt.Fprintf(log, "%-8s  %s\n", b.name, store.about())
	}
	for _, scenario := range p.scenarios {
		s := &session{ctx: ctx, scenario: scenario.name, journal: b.name, store: store, scale: p.scale, begun: time.Now()}
		if err := scenario.run(s); err != nil {
			return fmt.Errorf("%s: %w", scenario.name, err)
		}
		if !p.json {
			printTable(out, s.figures)
		}
		r.Figures = append(r.Figures, s.figures...)
	}
	return nil
}
