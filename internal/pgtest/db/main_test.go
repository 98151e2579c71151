package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The tests run the command as a process: its exit code and what it does on a
// signal are its point.
func program(t *testing.T, arguments ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], arguments...)
	cmd.Env = append(os.Environ(), "PGTEST_DB_MAIN=1", variable+"=")
	return cmd
}

func TestMain(m *testing.M) {
	if os.Getenv("PGTEST_DB_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

func TestCommandGetsTheServerAndItsExitCodeIsPassedOn(t *testing.T) {
	t.Parallel()
	cmd := program(t, "--", "sh", "-c", "echo $"+variable+"; exit 7")

	out, err := cmd.Output()

	var exit *exec.ExitError
	require.ErrorAs(t, err, &exit)
	require.Equal(t, 7, exit.ExitCode())
	require.Contains(t, string(out), "postgres://postgres@/postgres?host=")
	require.NoDirExists(t, directoryOf(string(out)))
}

func TestServerInTheEnvironmentIsUsed(t *testing.T) {
	t.Parallel()
	cmd := program(t, "--", "sh", "-c", "echo $"+variable)
	cmd.Env = append(cmd.Env, variable+"=postgres://there")

	out, err := cmd.Output()

	require.NoError(t, err)
	require.Equal(t, "postgres://there\n", string(out))
}

func TestMissingCommandFails(t *testing.T) {
	t.Parallel()

	out, err := program(t, "--", filepath.Join(t.TempDir(), "none")).CombinedOutput()

	require.Error(t, err)
	require.Contains(t, string(out), "none")
}

func TestServerRunsUntilASignal(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		cmd := program(t)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		line := make([]byte, 256)
		n, err := out.Read(line)
		require.NoError(t, err)
		directory := directoryOf(string(line[:n]))
		require.DirExists(t, directory)

		require.NoError(t, cmd.Process.Signal(signal))

		require.NoError(t, cmd.Wait())
		require.NoDirExists(t, directory)
	}
}

// A signal that only this process gets, as from a supervisor, ends the command.
func TestSignalIsPassedOn(t *testing.T) {
	t.Parallel()
	cmd := program(t, "--", "sh", "-c", "trap 'echo ended; exit 5' TERM; echo begun; while :; do sleep 0.01; done")
	var out bytes.Buffer
	read, write, err := os.Pipe()
	require.NoError(t, err)
	cmd.Stdout = write
	require.NoError(t, cmd.Start())
	require.NoError(t, write.Close())
	begun := make([]byte, 6)
	_, err = read.Read(begun)
	require.NoError(t, err)

	require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))

	require.Error(t, cmd.Wait())
	_, err = out.ReadFrom(read)
	require.NoError(t, err)
	require.Equal(t, "ended\n", out.String())
	require.Equal(t, 5, cmd.ProcessState.ExitCode())
}

func directoryOf(url string) string {
	_, query, _ := strings.Cut(strings.TrimSpace(url), "host=")
	host, _, _ := strings.Cut(query, "&")
	return strings.ReplaceAll(host, "%2F", "/")
}
