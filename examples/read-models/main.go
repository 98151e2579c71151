// Command read-models takes orders of a shop and derives the turnover of each
// customer from them three times: in a table of an SQLite file, in a Go map, and in
// a table of PostgreSQL if it is given one. Then it changes its mind about what
// turnover is, builds the new read model beside the old one, and switches.
//
//	go run ./examples/read-models [--postgres URL] [DIRECTORY]
//
// The directory keeps the orders between runs; the default is a throw-away one.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/sqlite"
	"github.com/stele-es/stele/projections"
)

func main() {
	if err := run(context.Background(), os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "read-models:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, arguments []string, out io.Writer) (err error) {
	flags := flag.NewFlagSet("read-models", flag.ContinueOnError)
	postgres := flags.String("postgres", "", "`URL` of a database for the third read model")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	directory := flags.Arg(0)
	if directory == "" {
		if directory, err = os.MkdirTemp("", "read-models"); err != nil {
			return err
		}
		defer os.RemoveAll(directory)
	}
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(directory, "orders.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, journal.Close()) }()
	models, err := openModels(ctx, directory, *postgres)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, models.close()) }()
	node, err := stele.Start(ctx, stele.Config{
		Journal: journal, Aggregates: stele.Aggregates{Customers}, Projections: models.projections(),
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(ctx)) }()
	return trade(ctx, node, models, out)
}

// trade takes orders, shows what they have come to, and builds the second version.
func trade(ctx context.Context, node *stele.Node, models *models, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	runner := node.Projections()
	// A caller that awaits projections reads what it has written.
	awaited := make([]actors.Awaitable, len(models.names()))
	for i, name := range models.names() {
		awaited[i] = runner.Await(name)
	}
	for _, order := range []struct {
		customer string
		cents    int
	}{{"ann", 1000}, {"bob", 250}, {"ann", 500}, {"bob", -50}} {
		if _, err := place.Ask(ctx, node, order.customer, PlaceOrder{Cents: order.cents}, actors.Await(awaited...)); err != nil {
			return err
		}
	}
	if err := models.print(ctx, out, "turnover"); err != nil {
		return err
	}

	// Version 2 has been built beside version 1 since the start, and takes over here.
	for _, name := range models.names() {
		if err := runner.Switch(ctx, name, 2); err != nil {
			return err
		}
	}
	return models.print(ctx, out, "turnover without returns")
}

// print shows what all read models say, which is the same.
func (m *models) print(ctx context.Context, out io.Writer, title string) error {
	fmt.Fprintln(out, title)
	for _, model := range m.all {
		turnover, err := model.read(ctx)
		if err != nil {
			return fmt.Errorf("read %s: %w", model.name, err)
		}
		var customers []string
		for customer, cents := range turnover {
			customers = append(customers, fmt.Sprintf("%s %d", customer, cents))
		}
		slices.Sort(customers)
		fmt.Fprintf(out, "  in %s: %s\n", model.name, strings.Join(customers, ", "))
	}
	return nil
}

// names are the projections, each of two versions.
func (m *models) names() []string {
	names := make([]string, len(m.all))
	for i, model := range m.all {
		names[i] = "turnover-" + model.name
	}
	return names
}

func (m *models) projections() (all stele.Projections) {
	for _, model := range m.all {
		all = append(all, model.versions...)
	}
	return all
}

func (m *models) close() (err error) {
	for _, closing := range slices.Backward(m.closing) {
		err = errors.Join(err, closing())
	}
	return err
}

// models are the read models, as far as there is a place for them.
type models struct {
	all     []model
	closing []func() error
}

type model struct {
	name     string
	versions []projections.Projection
	// read returns the turnover by customer, of the version that is active.
	read func(context.Context) (map[string]int, error)
}
