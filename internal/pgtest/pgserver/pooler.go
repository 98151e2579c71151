//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
)

// Pooler is a running PgBouncer that pools by transaction, made by [StartPooler].
type Pooler struct {
	directory string
	process   *os.Process
	exited    <-chan struct{}

	once sync.Once
	err  error
}

// StartPooler runs a PgBouncer before a server, for all of its databases and the
// user of the connection string, until [Pooler.Stop] or the end of this process.
// Settings are further lines of its configuration.
func StartPooler(ctx context.Context, server string, settings ...string) (*Pooler, error) {
	program, err := findPooler(ctx)
	if err != nil {
		return nil, err
	}
	credential, err := serverUser() // it refuses to be run by root, too
	if err != nil {
		return nil, err
	}
	// The usual prefix, so that what a dead process leaves is removed in time.
	directory, err := os.MkdirTemp("/tmp", directoryPrefix)
	if err != nil {
		return nil, err
	}
	p := &Pooler{directory: directory}
	if err := p.open(ctx, program, server, settings, credential); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return p, nil
}

func (p *Pooler) open(ctx context.Context, program, server string, settings []string, credential *syscall.Credential) error {
	to, err := pgconn.ParseConfig(server)
	if err != nil {
		return errors.New("read the server's connection string")
	}
	account := fmt.Sprintf("user=%s", to.User)
	if to.Password != "" {
		account += " password='" + strings.ReplaceAll(to.Password, "'", "''") + "'"
	}
	config := filepath.Join(p.directory, "pgbouncer.ini")
	err = os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%[2]s port=%[3]d %[4]s
[pgbouncer]
listen_port = 5432
unix_socket_dir = %[1]s
auth_type = any
pool_mode = transaction
max_client_conn = 1000
default_pool_size = 20
server_login_retry = 1
logfile = %[1]s/log
%[5]s
`, p.directory, to.Host, to.Port, account, strings.Join(settings, "\n")), 0o600)
	if err != nil {
		return err
	}
	if credential != nil {
		for _, path := range []string{p.directory, config} {
			if err := os.Chown(path, int(credential.Uid), int(credential.Gid)); err != nil {
				return err
			}
		}
	}
	cmd := exec.Command(program, "-q", config) //nolint:noctx // it outlives every call
	cmd.Dir = p.directory
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	if p.process, p.exited, err = start(cmd); err != nil {
		return fmt.Errorf("start pgbouncer: %w", err)
	}
	return p.waitReady(ctx)
}

func (p *Pooler) waitReady(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	poll := time.NewTicker(5 * time.Millisecond)
	defer poll.Stop()
	for {
		if conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.directory, ".s.PGSQL.5432")); err == nil {
			return conn.Close()
		}
		select {
		case <-p.exited:
			log, _ := os.ReadFile(filepath.Join(p.directory, "log"))
			return fmt.Errorf("pgbouncer ended while it started: %s", log)
		case <-ctx.Done():
			return fmt.Errorf("wait for pgbouncer: %w", context.Cause(ctx))
		case <-poll.C:
		}
	}
}

// URL is the connection string of a database of the server that leads through the
// pooler.
func (p *Pooler) URL(database string) string {
	u := url.URL{Scheme: "postgres", User: url.User("postgres"), Path: "/" + database}
	u.RawQuery = url.Values{"host": {p.directory}, "port": {"5432"}}.Encode()
	return u.String()
}

// Stop ends the pooler and removes its files. It may be called more than once.
func (p *Pooler) Stop() error {
	p.once.Do(func() {
		if p.process != nil {
			_ = p.process.Kill() // it has nothing to lose
			<-p.exited
		}
		p.err = os.RemoveAll(p.directory)
	})
	return p.err
}

// findPooler looks for the program, and installs it where this process may.
func findPooler(ctx context.Context) (string, error) {
	if program, found := poolerProgram("/"); found {
		return program, nil
	}
	installer, ok := newInstaller("/")
	if !ok {
		return "", errors.New(MissingPooler)
	}
	fmt.Fprintln(os.Stderr, "pgserver: no PgBouncer found, installing Debian's package pgbouncer")
	if err := installer.installPooler(ctx); err != nil {
		return "", fmt.Errorf("%s: %w", MissingPooler, err)
	}
	if program, found := poolerProgram("/"); found {
		return program, nil
	}
	return "", errors.New(MissingPooler)
}

// poolerProgram looks where packages put the program, and on the path.
func poolerProgram(root string) (string, bool) {
	for _, directory := range []string{"usr/sbin", "usr/bin", "usr/local/bin", "opt/homebrew/bin"} {
		program := filepath.Join(root, directory, "pgbouncer")
		if _, err := os.Stat(program); err == nil {
			return program, true
		}
	}
	program, err := exec.LookPath("pgbouncer")
	return program, err == nil
}
