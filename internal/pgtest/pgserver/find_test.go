//go:build unix

package pgserver

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNewestServerIsFound(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	plant := func(directory string, programs ...string) string {
		directory = filepath.Join(root, directory)
		require.NoError(t, os.MkdirAll(directory, 0o755))
		for _, program := range programs {
			require.NoError(t, os.WriteFile(filepath.Join(directory, program), nil, 0o755))
		}
		return directory
	}
	plant("usr/lib/postgresql/9.6/bin", "postgres", "initdb")
	plant("usr/lib/postgresql/17/bin", "psql") // the client only
	plant("usr/lib/postgresql/odd/bin", "postgres", "initdb")
	want := plant("usr/lib/postgresql/15/bin", "postgres", "initdb")

	bin, found := newest(root)
	require.True(t, found)
	require.Equal(t, want, bin, "15 is more than 9.6")

	want = plant("usr/pgsql-16/bin", "postgres", "initdb")
	bin, _ = newest(root)
	require.Equal(t, want, bin)

	want = plant("opt/homebrew/opt/postgresql@18/bin", "postgres", "initdb")
	bin, _ = newest(root)
	require.Equal(t, want, bin)
}

func TestServerOnThePathIsFound(t *testing.T) {
	directory := t.TempDir()
	t.Setenv("PATH", directory)
	_, found := onPath()
	require.False(t, found)

	for _, program := range []string{"postgres", "initdb"} {
		require.NoError(t, os.WriteFile(filepath.Join(directory, program), nil, 0o755))
	}

	bin, found := onPath()
	require.True(t, found)
	require.Equal(t, directory, bin)
}

func TestInstallerStartsNoServerOfTheSystem(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/lock"), 0o755))
	config := filepath.Join(root, "etc/postgresql-common/createcluster.conf")
	var steps []string
	i := &installer{root: root, run: func(_ context.Context, arguments ...string) error {
		steps = append(steps, strings.Join(arguments, " "))
		if arguments[len(arguments)-1] == "postgresql" {
			text, err := os.ReadFile(config)
			require.NoError(t, err)
			require.Equal(t, "create_main_cluster = false\n", string(text))
		}
		return nil
	}}

	require.NoError(t, i.install(t.Context()))

	require.Equal(t, []string{
		"update", "install --yes --no-install-recommends postgresql-common", "install --yes --no-install-recommends postgresql",
	}, steps)
}

func TestInstallerDoesNothingTwice(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	bin := filepath.Join(root, "usr/lib/postgresql/15/bin")
	for _, directory := range []string{bin, filepath.Join(root, "var/lock")} {
		require.NoError(t, os.MkdirAll(directory, 0o755))
	}
	for _, program := range []string{"postgres", "initdb"} {
		require.NoError(t, os.WriteFile(filepath.Join(bin, program), nil, 0o755))
	}
	i := &installer{root: root, run: func(context.Context, ...string) error { return errors.New("was run") }}

	require.NoError(t, i.install(t.Context()), "another process was first")
}

func TestInstallerFailsAtTheFirstError(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	require.NoError(t, os.MkdirAll(filepath.Join(root, "var/lock"), 0o755))
	broken := errors.New("no network")
	steps := 0
	i := &installer{root: root, run: func(context.Context, ...string) error { steps++; return broken }}

	require.ErrorIs(t, i.install(t.Context()), broken)
	require.Equal(t, 1, steps)
}

func TestInstallerIsForDebianOnly(t *testing.T) {
	t.Parallel()
	_, ok := newInstaller(t.TempDir())
	require.False(t, ok)
}
