//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Server is one running Postgres server, made by [Start]. Its methods are not
// safe for concurrent use.
type Server struct {
	install   installation
	options   *options
	directory string
	lock      *os.File
	extra     []string // of the environment of the server

	process *os.Process
	exited  <-chan struct{} // closed when the process is gone

	once sync.Once
	err  error
}

// Start makes a new database cluster and runs a server on it until
// [Server.Stop], or until this process ends.
func Start(ctx context.Context, list ...Option) (*Server, error) {
	install, err := find(ctx)
	if err != nil {
		return nil, err
	}
	s := &Server{install: install, options: newOptions(list)}
	if err := s.open(ctx); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

func (s *Server) open(ctx context.Context) error {
	if err := s.makeDirectory(); err != nil {
		return err
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	if s.options.flush > 0 {
		var err error
		if s.extra, err = compileSlowFlush(s.directory, s.options.flush); err != nil {
			return err
		}
	}
	return s.Restart(ctx)
}

func (s *Server) data() string { return filepath.Join(s.directory, "data") }

// command runs one of the server's programs as the server's user, in the server's directory:
// that user may be unable to read the directory of this process.
func (s *Server) command(name string, arguments ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.install.bin, name), arguments...) //nolint:noctx // it outlives every call
	cmd.Dir = s.directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.install.credential}
	return cmd
}

// URL is the connection string of the server's first database, for a superuser.
func (s *Server) URL() string { return s.DatabaseURL("postgres") }

// DatabaseURL is the connection string of a database of the server.
func (s *Server) DatabaseURL(name string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + name}
	u.RawQuery = url.Values{"host": {s.directory}, "port": {"5432"}}.Encode()
	return u.String()
}

// Socket is the path of the socket that the server listens on.
func (s *Server) Socket() string { return filepath.Join(s.directory, ".s.PGSQL.5432") }

// Restart runs the server again after it was killed, and waits until it takes
// connections.
func (s *Server) Restart(ctx context.Context) error {
	// The file still says "ready" for the run before.
	if err := os.Remove(s.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	log, err := os.OpenFile(filepath.Join(s.directory, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := s.command("postgres", append([]string{"-D", s.data(), "-k", s.directory}, s.options.arguments()...)...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append(cmd.Environ(), s.extra...)
	process, exited, err := start(cmd)
	if err != nil {
		return fmt.Errorf("start postgres: %w", err)
	}
	s.process, s.exited = process, exited
	return s.waitReady(ctx)
}

// start starts a process that ends with this one at the latest.
func start(cmd *exec.Cmd) (process *os.Process, exited <-chan struct{}, err error) {
	dieWithParent(cmd.SysProcAttr)
	gone := make(chan struct{})
	started := make(chan error, 1)
	go live(cmd, started, gone) // ends with the process, which Stop ends
	if err := <-started; err != nil {
		return nil, nil, err
	}
	return cmd.Process, gone, nil
}

// live runs a process to its end. It keeps its thread, because a process that dies with its
// parent dies with the thread that started it.
func live(cmd *exec.Cmd, started chan<- error, gone chan<- struct{}) {
	runtime.LockOSThread()
	defer close(gone)
	err := cmd.Start()
	started <- err
	if err == nil {
		_ = cmd.Wait() // its error means nothing, because tests kill it
	}
}

func (s *Server) pidFile() string { return filepath.Join(s.data(), "postmaster.pid") }

// waitReady reads the server's own status, so that no connection is needed.
func (s *Server) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		status, err := os.ReadFile(s.pidFile())
		if lines := strings.Split(string(status), "\n"); err == nil && len(lines) > 7 && slices.Contains([]string{"ready", "standby"}, strings.TrimSpace(lines[7])) {
			return nil
		}
		select {
		case <-s.exited:
			log, _ := os.ReadFile(filepath.Join(s.directory, "log"))
			return fmt.Errorf("the server ended while it started: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("wait for the server: %w", context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// Kill ends all processes of the server at once, as kill -9 does, and waits
// until they are gone.
func (s *Server) Kill() error {
	// The stopped parent can neither start further processes nor clean up.
	_ = s.process.Signal(syscall.SIGSTOP)
	children := childrenOf(s.process.Pid)
	for _, pid := range children {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	_ = s.process.Signal(syscall.SIGKILL)
	<-s.exited
	return eventually(10*time.Second, "the server's processes to end", func() bool {
		return !slices.ContainsFunc(children, alive)
	})
}

// Abort shuts the server down as "pg_ctl stop -m immediate" does: the server writes nothing any
// more that is only in its memory. Abort waits until the processes are gone.
func (s *Server) Abort() error {
	children := childrenOf(s.process.Pid)
	if err := s.process.Signal(syscall.SIGQUIT); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	<-s.exited
	return eventually(10*time.Second, "the server's processes to end", func() bool {
		return !slices.ContainsFunc(children, alive)
	})
}

// SlowDown changes how much longer the flushes of a server with [SlowFlush] take.
func (s *Server) SlowDown(longer time.Duration) error { return writeFlush(s.directory, longer) }

// Pause stops all processes of the server, as SIGSTOP does: connections stay
// open and nothing answers.
func (s *Server) Pause() {
	_ = s.process.Signal(syscall.SIGSTOP)
	for _, pid := range childrenOf(s.process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGSTOP)
	}
}

// Resume lets a paused server go on.
func (s *Server) Resume() {
	for _, pid := range childrenOf(s.process.Pid) {
		_ = syscall.Kill(pid, syscall.SIGCONT)
	}
	_ = s.process.Signal(syscall.SIGCONT)
}

// KillBackend ends one process of the server, as kill -9 does. The server then ends all others
// and recovers. It does nothing to a process of anybody else.
func (s *Server) KillBackend(pid int) {
	for _, child := range childrenOf(s.process.Pid) {
		if child == pid {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}

// Stop shuts the server down and removes its files. It may be called more than
// once, also after Kill.
func (s *Server) Stop() error {
	s.once.Do(func() {
		if s.process != nil {
			s.Resume()
			_ = s.process.Signal(syscall.SIGQUIT) // nobody needs its data any more
			select {
			case <-s.exited:
			case <-time.After(10 * time.Second):
				s.err = s.Kill()
			}
		}
		if s.directory != "" {
			s.err = errors.Join(s.err, os.RemoveAll(s.directory))
		}
		if s.lock != nil {
			s.err = errors.Join(s.err, s.lock.Close())
		}
	})
	return s.err
}

func eventually(limit time.Duration, what string, done func() bool) error {
	deadline := time.After(limit)
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for !done() {
		select {
		case <-poll.C:
		case <-deadline:
			return fmt.Errorf("wait for %s: gave up after %s", what, limit)
		}
	}
	return nil
}

// BecomeStandby makes a server that was killed start as a standby, which takes connections but
// no writes.
func (s *Server) BecomeStandby() error {
	return os.WriteFile(filepath.Join(s.data(), "standby.signal"), nil, 0o600)
}

// Standby makes a second server with all data of this one. It follows this one, which does not
// wait for it. The caller has to stop both, by [Server.Stop].
func (s *Server) Standby(ctx context.Context) (*Server, error) {
	standby := &Server{install: s.install, options: s.options}
	if err := standby.follow(ctx, s); err != nil {
		return nil, errors.Join(err, standby.Stop())
	}
	return standby, nil
}

func (s *Server) follow(ctx context.Context, primary *Server) error {
	if err := s.makeDirectory(); err != nil {
		return err
	}
	copied := s.command("pg_basebackup", "-D", s.data(), "-h", primary.directory, "-p", "5432", "-U", "postgres", "-R", "-X", "stream", "-c", "fast", "--no-sync")
	if out, err := copied.CombinedOutput(); err != nil {
		return fmt.Errorf("pg_basebackup: %w: %s", err, out)
	}
	return s.Restart(ctx)
}
