//go:build unix

package pgserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// installation says where the server's programs are and which user must run them.
type installation struct {
	bin        string
	credential *syscall.Credential // nil: as this process
}

// find looks for the newest server on the machine, and installs one where this
// process may.
func find(ctx context.Context) (installation, error) {
	bin, found := newest("/")
	if !found {
		bin, found = onPath()
	}
	if !found {
		installer, ok := newInstaller("/")
		if !ok {
			return installation{}, errors.New(Missing)
		}
		fmt.Fprintln(os.Stderr, "pgserver: no Postgres found, installing Debian's package postgresql")
		if err := installer.install(ctx); err != nil {
			return installation{}, fmt.Errorf("%s: %w", Missing, err)
		}
		if bin, found = newest("/"); !found {
			return installation{}, errors.New(Missing)
		}
	}
	credential, err := serverUser()
	return installation{bin: bin, credential: credential}, err
}

// newest returns the directory of the programs with the highest release number
// among the usual places.
func newest(root string) (bin string, found bool) {
	best := -1.0
	for _, pattern := range []string{
		"usr/lib/postgresql/*/bin", "usr/pgsql-*/bin",
		"opt/homebrew/opt/postgresql@*/bin", "usr/local/opt/postgresql@*/bin", "home/linuxbrew/.linuxbrew/opt/postgresql@*/bin",
	} {
		directories, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, directory := range directories {
			if release := releaseOf(directory); release > best && complete(directory) {
				best, bin = release, directory
			}
		}
	}
	return bin, best >= 0
}

// onPath returns the directory of the server that a shell would start.
func onPath() (bin string, found bool) {
	if program, err := exec.LookPath("postgres"); err == nil {
		if program, err = filepath.EvalSymlinks(program); err == nil && complete(filepath.Dir(program)) {
			return filepath.Dir(program), true
		}
	}
	return "", false
}

var releaseNumber = regexp.MustCompile(`\d+(\.\d+)?$`)

// releaseOf reads the number before "/bin", so that 15 counts more than 9.6.
func releaseOf(directory string) float64 {
	release, err := strconv.ParseFloat(releaseNumber.FindString(filepath.Dir(directory)), 64)
	if err != nil {
		return -1
	}
	return release
}

func complete(directory string) bool {
	return !slices.ContainsFunc([]string{"postgres", "initdb"}, func(name string) bool {
		_, err := os.Stat(filepath.Join(directory, name))
		return err != nil
	})
}

// serverUser returns the user that runs the server, which refuses to be run by root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		account, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(account.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(account.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("run Postgres: it refuses to be run by root, and there is neither a user postgres nor a user nobody")
}
