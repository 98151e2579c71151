//go:build unix

package pgserver

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestServerRunsUntilItIsStopped(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context())
	require.NoError(t, err)
	require.True(t, answers(s))
	require.Equal(t, fmt.Sprintf("postgres://postgres@/postgres?host=%s&port=5432", strings.ReplaceAll(s.directory, "/", "%2F")), s.URL())
	pid, children := s.process.Pid, childrenOf(s.process.Pid)
	require.NotEmpty(t, children)

	require.NoError(t, s.Kill())
	require.False(t, answers(s))
	require.False(t, alive(pid))
	for _, child := range children {
		require.False(t, alive(child))
	}
	require.NoError(t, s.Restart(t.Context()))
	require.True(t, answers(s))

	s.Pause()
	require.Equal(t, "T", state(t, s.process.Pid))
	s.KillBackend(os.Getpid()) // is not the server's
	s.Resume()
	require.NotEqual(t, "T", state(t, s.process.Pid))

	s.Pause()
	require.NoError(t, s.Stop(), "a paused server stops too")
	require.NoError(t, s.Stop())
	require.NoDirExists(t, s.directory)
	require.False(t, alive(s.process.Pid))
}

func TestAbortedServerRestarts(t *testing.T) {
	t.Parallel()
	s, err := Start(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()

	require.NoError(t, s.Abort())
	require.False(t, answers(s))
	require.NoError(t, s.Abort(), "it is down already")
	require.NoError(t, s.Restart(t.Context()))

	require.True(t, answers(s))
}

func TestFlushesAreAsSlowAsAsked(t *testing.T) {
	t.Parallel()
	const longer = 20 * time.Millisecond
	s, err := Start(t.Context(), SlowFlush(time.Microsecond))
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Stop()) }()
	require.NoError(t, s.SlowDown(longer))
	conn, err := pgconn.Connect(t.Context(), s.URL())
	require.NoError(t, err)
	defer conn.Close(t.Context())

	begun := time.Now()
	for range 5 {
		_, err := conn.Exec(t.Context(), "SELECT pg_logical_emit_message(true, 'stele', '')").ReadAll()
		require.NoError(t, err)
	}

	require.GreaterOrEqual(t, time.Since(begun), 5*longer)
}

func TestServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()

	_, err := Start(t.Context(), Setting("shared_buffers", "nonsense"))

	require.ErrorContains(t, err, "shared_buffers")
}

func TestOptions(t *testing.T) {
	t.Parallel()

	loose, durable := newOptions(nil), newOptions([]Option{Durable, Setting("max_connections", "9")})

	require.Contains(t, loose.arguments(), "fsync=off")
	require.Contains(t, loose.arguments(), "synchronous_commit=on")
	require.Contains(t, durable.arguments(), "fsync=on")
	require.Contains(t, durable.arguments(), "full_page_writes=on")
	require.Contains(t, durable.arguments(), "max_connections=9")
}

// The next start removes what a dead process has left, and keeps what is in use.
func TestLeftoversAreRemoved(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	directory := func(name string, lock bool) string {
		path := filepath.Join(parent, directoryPrefix+name)
		require.NoError(t, os.MkdirAll(filepath.Join(path, "data"), 0o700))
		if lock {
			require.NoError(t, os.WriteFile(filepath.Join(path, "lock"), nil, 0o600))
		}
		return path
	}
	hour := func(path string) { require.NoError(t, os.Chtimes(path, time.Time{}, time.Now().Add(-2*time.Hour))) }
	left, fresh, stale := directory("left", true), directory("fresh", false), directory("stale", false)
	hour(stale)
	reused := directory("reused", true) // its number belongs to another process now
	require.NoError(t, os.WriteFile(filepath.Join(reused, "data", "postmaster.pid"), []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600))
	used := directory("used", true)
	held, err := os.OpenFile(filepath.Join(used, "lock"), os.O_RDWR, 0)
	require.NoError(t, err)
	defer held.Close()
	require.NoError(t, lockFile(held))
	foreign := filepath.Join(parent, "something else")
	require.NoError(t, os.Mkdir(foreign, 0o700))

	removeLeftovers(parent)

	for _, gone := range []string{left, stale, reused} {
		require.NoDirExists(t, gone)
	}
	for _, stays := range []string{fresh, used, foreign} {
		require.DirExists(t, stays)
	}
}

// A test process that is killed takes its server along.
func TestServerDiesWithItsProcess(t *testing.T) {
	t.Parallel()
	if os.Getenv("PGSERVER_OWNER") != "" {
		s, err := Start(t.Context())
		require.NoError(t, err)
		_, err = fmt.Fprintf(os.Stdout, "server %d in %s\n", s.process.Pid, s.directory)
		require.NoError(t, err)
		select {} // until it is killed
	}
	owner := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestServerDiesWithItsProcess$")
	owner.Env = append(os.Environ(), "PGSERVER_OWNER=1")
	out, err := owner.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, owner.Start())
	var pid int
	var directory string
	_, err = fmt.Fscanf(out, "server %d in %s\n", &pid, &directory)
	require.NoError(t, err)
	require.True(t, alive(pid))

	require.NoError(t, owner.Process.Kill())
	require.Error(t, owner.Wait())

	require.NoError(t, eventually(20*time.Second, "the server's end", func() bool { return !alive(pid) }))
	removeLeftovers(filepath.Dir(directory))
	require.NoDirExists(t, directory)
}

func answers(s *Server) bool {
	conn, err := net.Dial("unix", s.Socket())
	if err != nil {
		return false
	}
	return conn.Close() == nil
}

// state is the letter that ps shows for a process. Linux tells it without ps,
// which small systems lack.
func state(t *testing.T, pid int) string {
	t.Helper()
	if stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err == nil {
		_, after, _ := strings.Cut(string(stat), ") ")
		return after[:1]
	}
	out, err := exec.CommandContext(t.Context(), "ps", "-o", "state=", "-p", strconv.Itoa(pid)).Output()
	require.NoError(t, err)
	return strings.TrimSpace(string(out))[:1]
}
