// Command bench measures stele, and in the same run the best that the same machine and
// store can do without it:
//
//	go run ./bench -quick journal command               every journal, a few minutes
//	go run ./bench -journal postgres -o json journal    one journal, for programs to read
//
// Figures of different runs and machines cannot be compared, their ratios can: every
// ceiling is measured right before and right after the figure that is divided by it.
// README.md explains each figure.
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

	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/scenario"
	"github.com/stele-es/stele/bench/store"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], store.Settings{Postgres: os.Getenv("STELE_BENCH_POSTGRES")}, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// plan holds the scenarios and journals that the command line names, and its flags.
type plan struct {
	scenarios []scenario.Scenario
	journals  []store.Backend
	scale     scenario.Scale
	json      bool
	profile   string
}

// run returns the exit code: 2 when the command line is wrong, 1 when something
// could not be measured. A missed aim is a result, not a failure.
func run(ctx context.Context, args []string, settings store.Settings, out, log io.Writer) int {
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
	p := &plan{scale: scenario.Thorough()}
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
		p.scale = scenario.Quickly()
	}
	p.json = *output == "json"
	if !p.json && *output != "table" {
		return nil, fmt.Errorf("unknown output %q: table or json", *output)
	}
	var err error
	if p.journals, err = choose("journal", store.All(), func(b store.Backend) string { return b.Name }, *journal); err != nil {
		return nil, err
	}
	if flags.NArg() == 0 {
		flags.Usage()
		return nil, errors.New("name a scenario")
	}
	for _, name := range flags.Args() {
		chosen, err := choose("scenario", scenario.All(), func(s scenario.Scenario) string { return s.Name }, name)
		if err != nil {
			return nil, err
		}
		p.scenarios = append(p.scenarios, chosen...)
	}
	return p, nil
}

// choose returns the element of this name, or all when there is no name.
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
	for _, s := range scenario.All() {
		fmt.Fprintf(log, "  %-10s %s\n", s.Name, s.About)
	}
	fmt.Fprintln(log, "\nflags:")
	flags.SetOutput(log)
	flags.PrintDefaults()
	fmt.Fprintln(log, "\nSTELE_BENCH_POSTGRES is the URL of a server to use instead of a private one.")
}

// measure runs every scenario on every journal.
func (p *plan) measure(ctx context.Context, settings store.Settings, out, log io.Writer) (err error) {
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
	r := measure.Report{Machine: measure.ThisMachine(ctx), Journals: map[string]string{}, Figures: []measure.Figure{}}
	if !p.json {
		r.Machine.Describe(log)
	}
	for _, b := range p.journals {
		if err := p.measureOn(ctx, b, settings, &r, out, log); err != nil {
			return fmt.Errorf("measure on %s: %w", b.Name, err)
		}
	}
	if p.json {
		return measure.PrintJSON(out, r)
	}
	return nil
}

func (p *plan) measureOn(ctx context.Context, b store.Backend, settings store.Settings, r *measure.Report, out, log io.Writer) (err error) {
	store, err := b.Open(ctx, settings)
	if err != nil {
		return err
	}
	// The store must be cleared even when the run was interrupted.
	defer func() { err = errors.Join(err, store.Close(context.WithoutCancel(ctx))) }()
	r.Journals[b.Name] = store.About()
	if !p.json {
		fmt.Fprintf(log, "%-8s  %s\n", b.Name, store.About())
	}
	for _, scenario := range p.scenarios {
		figures, err := scenario.Measure(ctx, b.Name, store, p.scale)
		if err != nil {
			return fmt.Errorf("%s: %w", scenario.Name, err)
		}
		if !p.json {
			measure.PrintTable(out, figures)
		}
		r.Figures = append(r.Figures, figures...)
	}
	return nil
}
