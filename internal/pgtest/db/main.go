// Command db runs a throw-away Postgres server for tests.
//
//	go run ./internal/pgtest/db                     prints its URL and runs until a signal
//	go run ./internal/pgtest/db -- go test ./...    runs a command with STELE_TEST_POSTGRES set
//
// With a command, all packages that the command tests share one server, and the exit code is
// the command's. When STELE_TEST_POSTGRES is set already, that server is used and none is
// started. The flag -durable makes the server flush to the disk, for benchmarks.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
)

const variable = "STELE_TEST_POSTGRES"

func main() {
	durable := flag.Bool("durable", false, "flush to the disk")
	flag.Parse()
	code, err := run(*durable, flag.Args())
	if err != nil {
		fmt.Fprintln(os.Stderr, "db:", err)
	}
	os.Exit(code)
}

func run(durable bool, command []string) (code int, err error) {
	// Waiting for the signals here keeps them from ending this process before the
	// server is stopped. A terminal sends them to the command too.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if os.Getenv(variable) != "" && len(command) > 0 {
		return runCommand(ctx, os.Environ(), command)
	}
	var options []pgserver.Option
	if durable {
		options = append(options, pgserver.Durable)
	}
	server, err := pgserver.Start(ctx, options...)
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, server.Stop()) }()
	if len(command) == 0 {
		fmt.Println(server.URL())
		<-ctx.Done()
		return 0, nil
	}
	return runCommand(ctx, append(os.Environ(), variable+"="+server.URL()), command)
}

// runCommand runs a command to its end, and passes signals on to it.
func runCommand(ctx context.Context, environment, command []string) (int, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment, os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, err
	}
	return 0, nil
}
