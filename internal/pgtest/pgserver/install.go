//go:build unix

package pgserver

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// installer installs Debian's package of the server.
type installer struct {
	root string
	run  func(ctx context.Context, arguments ...string) error
}

// newInstaller returns an installer, or false where this process may not install: only root
// may, on Debian and its derivatives.
func newInstaller(root string) (*installer, bool) {
	if _, err := os.Stat(filepath.Join(root, "etc/debian_version")); err != nil || os.Geteuid() != 0 {
		return nil, false
	}
	return &installer{root: root, run: aptGet}, true
}

// install installs the package. Processes take turns, and the later ones find nothing to do.
func (i *installer) install(ctx context.Context) error {
	return i.alone(func() error { return i.installServer(ctx) })
}

// installPooler is install for PgBouncer. The package starts a PgBouncer of its own, which
// knows no database.
func (i *installer) installPooler(ctx context.Context) error {
	return i.alone(func() error {
		if _, found := poolerProgram(i.root); found {
			return nil
		}
		if err := i.run(ctx, "update"); err != nil {
			return err
		}
		return i.run(ctx, "install", "--yes", "--no-install-recommends", "pgbouncer")
	})
}

// alone runs a function while no other process installs.
func (i *installer) alone(do func() error) error {
	lock, err := os.OpenFile(filepath.Join(i.root, "var/lock/stele-pgserver"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		return fmt.Errorf("lock the installation: %w", err)
	}
	return do()
}

func (i *installer) installServer(ctx context.Context) error {
	if _, found := newest(i.root); found {
		return nil
	}
	if err := i.run(ctx, "update"); err != nil {
		return err
	}
	if err := i.run(ctx, "install", "--yes", "--no-install-recommends", "postgresql-common"); err != nil {
		return err
	}
	// Without this the next package starts a server of its own.
	config := filepath.Join(i.root, "etc/postgresql-common/createcluster.conf")
	if err := os.MkdirAll(filepath.Dir(config), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(config, []byte("create_main_cluster = false\n"), 0o644); err != nil {
		return err
	}
	return i.run(ctx, "install", "--yes", "--no-install-recommends", "postgresql")
}

func aptGet(ctx context.Context, arguments ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", arguments...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w: %s", arguments[0], err, out)
	}
	return nil
}
