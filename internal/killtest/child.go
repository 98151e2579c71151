package killtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// Role is the work of a child, with the arguments that the test gives. The process exits with
// status 1 when it returns an error, which it prints.
type Role func(ctx context.Context, arguments []string) error

// asChild marks a process as a child; the name of its role follows.
const asChild = "run-as-child-of-a-test"

// Main must be called first by TestMain. In a child it plays the role and does not return.
func Main(roles map[string]Role) {
	if len(os.Args) < 3 || os.Args[1] != asChild {
		return
	}
	role, known := roles[os.Args[2]]
	if !known {
		fmt.Fprintf(os.Stderr, "a test has started a child in the role %q, which TestMain does not know\n", os.Args[2])
		os.Exit(1)
	}
	if err := role(context.Background(), os.Args[3:]); err != nil { //nolint:forbidigo // a process has no caller
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Child is a process that a test has started. Its methods are for one goroutine, but for
// Kill, Halt and Continue, which any may call.
type Child struct {
	t       testing.TB
	command *exec.Cmd
	in      io.Writer
	out     *bufio.Reader
	ended   func() error // waits for the process, once
}

// Command returns the command that starts the test program again in a role, for tests that
// start it in a way of their own.
func Command(t testing.TB, role string, arguments ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	return exec.Command(self, append([]string{asChild, role}, arguments...)...) //nolint:gosec,noctx // it is this program, which the test ends
}

// Start starts the test program again in a role. The child is killed when the test ends, if
// it still runs.
func Start(t testing.TB, role string, arguments ...string) *Child {
	t.Helper()
	command := Command(t, role, arguments...)
	command.Stderr = t.Output()
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	c := &Child{t: t, command: command, in: in, out: bufio.NewReader(out), ended: sync.OnceValue(command.Wait)}
	t.Cleanup(func() {
		_ = command.Process.Kill() // it may have ended
		_ = c.ended()
	})
	return c
}

// Say gives the child a line to read. It does nothing to a child that has ended.
func (c *Child) Say(line string) { _, _ = io.WriteString(c.in, line+"\n") }

// Line waits for the next line that the child prints. It is not ok when the child has ended
// before it has printed a whole one.
func (c *Child) Line() (line string, ok bool) {
	line, err := c.out.ReadString('\n')
	if err != nil {
		return "", false
	}
	return line[:len(line)-1], true
}

// Rest waits until the child has ended, and returns the lines that were not read yet, but
// for a last one that is not whole.
func (c *Child) Rest() (lines []string) {
	for {
		line, ok := c.Line()
		if !ok {
			_ = c.ended() // how it ended is for Wait
			return lines
		}
		lines = append(lines, line)
	}
}

// Kill ends the child at once, as a failure of the machine would, and returns the lines that
// it had printed and that were not read yet.
func (c *Child) Kill() (rest []string) {
	c.t.Helper()
	_ = c.command.Process.Kill() // it may have ended, which Wait tells
	return c.Rest()
}

// Stab kills the child and does not wait for its end: for a goroutine beside the one that
// reads its lines.
func (c *Child) Stab() { _ = c.command.Process.Kill() }

// Wait waits until the child has ended, and drops what it has printed and was not read. The
// error is nil when its role returned nil.
func (c *Child) Wait() error {
	_ = c.Rest()
	return c.ended()
}

// PID is the number of the process.
func (c *Child) PID() int { return c.command.Process.Pid }
