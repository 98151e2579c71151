package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

const (
	onSmallDisk = "on-small-disk"
	asMount     = "as-mount"
)

var _ = func() bool {
	roles[onSmallDisk], roles[asMount] = fillDisk, openMount
	return true
}()

// TestDiskThatIsFull fills a disk of its own, which only the child sees.
func TestDiskThatIsFull(t *testing.T) {
	t.Parallel()
	amongOwnMounts(t, onSmallDisk)
}

// TestFileThatIsMountedByItself opens a file as containers show one: its log would
// stand beside the mount, in the container.
func TestFileThatIsMountedByItself(t *testing.T) {
	t.Parallel()
	amongOwnMounts(t, asMount)
}

// amongOwnMounts has a child do something that needs mounts of its own.
func amongOwnMounts(t *testing.T, what string) {
	t.Helper()
	cmd := killtest.Command(t, what, t.TempDir())
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}

	said, err := cmd.CombinedOutput()

	require.Equal(t, "done\n", string(said), "a disk of its own needs root or user namespaces: %v", err)
}

// fillDisk appends until the disk is full, and goes on when it is not any more.
func fillDisk(ctx context.Context, arguments []string) error {
	directory := arguments[0]
	if err := keepMounts(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", directory, "tmpfs", 0, "size=2m"); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	path := directory + "/journal.db"
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		return err
	}
	acknowledged := 0
	fill := func() error {
		for range 1000 {
			if err := store(ctx, journal, fmt.Sprintf("%d %030000d", acknowledged, 0)); err != nil {
				return err
			}
			acknowledged++
		}
		return errors.New("the disk does not become full")
	}
	for range 3 { // also what is tried again leaves nothing behind
		if err := fill(); !errors.Is(err, persistence.ErrUnavailable) {
			return err
		}
	}
	if err := unix.Mount("tmpfs", directory, "tmpfs", unix.MS_REMOUNT, "size=64m"); err != nil {
		return fmt.Errorf("enlarge: %w", err)
	}
	if err := store(ctx, journal, fmt.Sprintf("%d ", acknowledged)); err != nil {
		return fmt.Errorf("after the disk has room again: %w", err)
	}
	acknowledged++
	if err := journal.Close(); err != nil {
		return err
	}
	if journal, err = sqlite.Open(ctx, sqlite.Config{Path: path}); err != nil {
		return err
	}
	found := 0
	for recorded, err := range journal.Read(ctx, "kept-1", persistence.ReadOptions{}) {
		if err != nil {
			return err
		}
		if want := fmt.Sprintf("%d ", found); string(recorded.Payload[:len(want)]) != want {
			return fmt.Errorf("event %d is another one", found)
		}
		found++
	}
	if found != acknowledged || found < 5 {
		return fmt.Errorf("%d are there of %d", found, acknowledged)
	}
	fmt.Fprintln(os.Stdout, "done")
	return journal.Close()
}

func keepMounts() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts from others: %w", err)
	}
	return nil
}

func openMount(ctx context.Context, arguments []string) error {
	directory := arguments[0]
	if err := keepMounts(); err != nil {
		return err
	}
	outside, inside := directory+"/outside.db", directory+"/inside.db"
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: outside})
	if err != nil {
		return err
	}
	if err := errors.Join(journal.Close(), os.WriteFile(inside, nil, 0o600)); err != nil {
		return err
	}
	if err := unix.Mount(outside, inside, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	if _, err := sqlite.Open(ctx, sqlite.Config{Path: inside}); !errors.Is(err, persistence.ErrInvalid) {
		return fmt.Errorf("a file that is mounted by itself was opened: %w", err)
	}
	if journal, err = sqlite.Open(ctx, sqlite.Config{Path: outside}); err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, "done")
	return journal.Close()
}
