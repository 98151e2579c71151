package main

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func open(t testing.TB, dir string) (*Repository, Chain) {
	t.Helper()
	repository, err := OpenRepository(t.Context(), dir)
	require.NoError(t, err)
	chain, err := repository.Chain(t.Context())
	require.NoError(t, err)
	return repository, chain
}

// requireFold folds the changes of a history and compares with what git lists,
// after every commit.
func requireFold(t testing.TB, dir string) {
	t.Helper()
	repository, chain := open(t, dir)
	tree, steps := Tree{}, 0

	for commit, err := range repository.Commits(t.Context(), chain, 0) {
		require.NoError(t, err)
		steps++
		require.EqualValues(t, steps, commit.Ordinal)
		for _, change := range commit.Changes {
			require.Equal(t, change.Before, tree[change.Path], "%q before commit %d", change.Path, commit.Ordinal)
			if tree[change.Path] = change.After; change.After == (Entry{}) {
				delete(tree, change.Path)
			}
		}

		want, err := repository.Tree(t.Context(), commit.Hash)
		require.NoError(t, err)
		require.Empty(t, tree.Differences(want), "after commit %d", commit.Ordinal)
		var printed strings.Builder
		require.NoError(t, tree.Print(&printed))
		require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", commit.Hash), printed.String())
	}

	require.Len(t, chain, steps)
}

func TestHistory(t *testing.T) {
	t.Parallel()

	t.Run("folds to every tree of an odd repository", func(t *testing.T) {
		t.Parallel()
		requireFold(t, oddRepository(t))
	})

	t.Run("reads repositories with SHA-256", func(t *testing.T) {
		t.Parallel()
		requireFold(t, oddRepository(t, "--object-format=sha256"))
	})

	t.Run("reads bare repositories", func(t *testing.T) {
		t.Parallel()
		requireFold(t, oddRepository(t, "--bare"))
	})

	t.Run("does not depend on settings", func(t *testing.T) {
		t.Parallel()
		dir := oddRepository(t)
		for setting, value := range map[string]string{
			"diff.renames": "copies", "diff.ignoreSubmodules": "all", "diff.relative": "true", "diff.external": "false",
			"diff.orderFile": "none", "log.showSignature": "true", "log.showRoot": "false", "log.diffMerges": "off",
			"log.abbrevCommit": "true", "log.date": "relative", "color.ui": "always", "i18n.logOutputEncoding": "UTF-16",
			"core.abbrev": "7", "format.pretty": "oneline", "status.relativePaths": "true",
		} {
			runGit(t, dir, nil, "config", setting, value)
		}
		modules := "[submodule \"module\"]\n\tpath = module\n\turl = ../module\n\tignore = all\n"
		require.NoError(t, os.WriteFile(filepath.Join(dir, ".gitmodules"), []byte(modules), 0o600))
		requireFold(t, dir)
	})

	t.Run("is that of the whole repository in a directory of it", func(t *testing.T) {
		t.Parallel()
		dir := oddRepository(t)
		below := filepath.Join(dir, "below")
		require.NoError(t, os.Mkdir(below, 0o755))
		repository, chain := open(t, below)

		tree, err := repository.Tree(t.Context(), chain.At(uint64(len(chain))))
		require.NoError(t, err)

		var printed strings.Builder
		require.NoError(t, tree.Print(&printed))
		require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", "HEAD"), printed.String())
	})

	t.Run("begins at the edge of a shallow clone", func(t *testing.T) {
		t.Parallel()
		origin, dir := oddRepository(t), filepath.Join(t.TempDir(), "clone")
		runGit(t, origin, nil, "clone", "--quiet", "--bare", "--depth=3", "file://"+origin, dir)
		requireFold(t, dir)
		_, chain := open(t, dir)
		require.Len(t, chain, 3)
	})

	t.Run("follows first parents only", func(t *testing.T) {
		t.Parallel()
		dir := oddRepository(t)
		_, chain := open(t, dir)
		require.Equal(t, strings.Fields(runGit(t, dir, nil, "log", "--first-parent", "--reverse", "--format=%H")), []string(chain))
		require.Less(t, len(chain), len(strings.Fields(runGit(t, dir, nil, "rev-list", "HEAD"))))
	})

	t.Run("goes on after an ordinal", func(t *testing.T) {
		t.Parallel()
		repository, chain := open(t, oddRepository(t))
		var all, rest []Commit
		for commit, err := range repository.Commits(t.Context(), chain, 0) {
			require.NoError(t, err)
			all = append(all, commit)
		}

		for commit, err := range repository.Commits(t.Context(), chain, 4) {
			require.NoError(t, err)
			rest = append(rest, commit)
		}

		require.Equal(t, all[4:], rest)
		for range repository.Commits(t.Context(), chain, uint64(len(chain))) {
			require.Fail(t, "a commit after the last")
		}
	})

	t.Run("names author and time", func(t *testing.T) {
		t.Parallel()
		repository, chain := open(t, oddRepository(t))
		for commit, err := range repository.Commits(t.Context(), chain, 0) {
			require.NoError(t, err)
			require.Equal(t, "Ann Ähre <ann@example.org>", commit.Author)
			require.Equal(t, "2023-11-14T23:43:19+01:30", commit.Time)
			break
		}
	})

	t.Run("of a repository without commits is empty", func(t *testing.T) {
		t.Parallel()
		repository, chain := open(t, newRepository(t))
		require.Empty(t, chain)
		for range repository.Commits(t.Context(), chain, 0) {
			require.Fail(t, "a commit of none")
		}
	})
}

// A hook runs with GIT_DIR set, and so does whatever it starts. Not parallel,
// because the environment belongs to the process.
func TestHistoryInAHook(t *testing.T) {
	dir, other := oddRepository(t), newRepository(t)
	_, want := open(t, dir)
	t.Setenv("GIT_DIR", filepath.Join(other, ".git"))

	_, chain := open(t, dir)

	require.Equal(t, want, chain)
}

func TestHistoryFails(t *testing.T) {
	t.Parallel()

	t.Run("outside a repository", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		_, err := OpenRepository(t.Context(), dir)
		require.ErrorContains(t, err, dir)
		require.ErrorContains(t, err, "not a git repository")
	})

	t.Run("without the directory", func(t *testing.T) {
		t.Parallel()
		_, err := OpenRepository(t.Context(), filepath.Join(t.TempDir(), "missing"))
		require.ErrorContains(t, err, "No such file or directory")
	})

	t.Run("for unknown commits", func(t *testing.T) {
		t.Parallel()
		repository, _ := open(t, oddRepository(t))
		for _, name := range []string{"nowhere", "--all", "-h", "HEAD..main", "", "HEAD:mode", strings.Repeat("0", 40)} {
			_, err := repository.Resolve(t.Context(), name)
			require.ErrorContains(t, err, "no commit", name)
		}
	})

	t.Run("when objects are missing", func(t *testing.T) {
		t.Parallel()
		dir := oddRepository(t)
		repository, chain := open(t, dir)
		require.NoError(t, os.RemoveAll(filepath.Join(dir, ".git", "objects", "pack")))

		_, err := repository.Chain(t.Context())
		require.ErrorContains(t, err, "bad object")
		for _, err = range repository.Commits(t.Context(), chain, 0) {
			break
		}
		require.ErrorContains(t, err, "ends early (is an object missing?")
		_, err = repository.Tree(t.Context(), "HEAD")
		require.ErrorContains(t, err, "git: ")
	})

	t.Run("when there is another commit than expected", func(t *testing.T) {
		t.Parallel()
		repository, chain := open(t, randomRepository(t, 5, 1500))
		want := strconv.Quote(chain[0])
		chain[0] = strings.ToUpper(chain[0]) // git takes it, prints it small and goes on
		var last error
		for _, err := range repository.Commits(t.Context(), chain, 0) {
			last = err
		}
		require.ErrorContains(t, last, "read history: commit 1: git shows "+want)
	})

	t.Run("when the context ends", func(t *testing.T) {
		t.Parallel()
		repository, chain := open(t, oddRepository(t))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range repository.Commits(ctx, chain, 0) {
			cancel()
			last = err
		}
		if last != nil { // git may have been faster
			require.ErrorIs(t, last, context.Canceled)
		}
	})

	t.Run("when the log is not that of the chain", func(t *testing.T) {
		t.Parallel()
		object := strings.Repeat("a", 40)
		header := object + "\x00A <a>\x002020-01-01T00:00:00Z\x00"
		change := ":000000 100644 " + strings.Repeat("0", 40) + " " + object + " A\x00path\x00"
		for name, c := range map[string]struct{ log, problem string }{
			"nothing":       {"", "ends early"},
			"half a header": {object + "\x00A <a>\x00", "ends early"},
			"other commit":  {strings.ReplaceAll(header, "a", "b"), "instead of"},
			"no path":       {header + "\n" + strings.TrimSuffix(change, "path\x00"), "ends early"},
			"empty path":    {header + "\n" + strings.TrimSuffix(change, "path\x00") + "\x00", "has no path"},
			"rename":        {header + "\n:100644 100644 " + object + " " + object + "\x00a\x00b\x00", "unexpected change"},
			"mode":          {header + "\n" + strings.Replace(change, "100644", "10064x", 1), "unexpected mode"},
			"short object":  {header + "\n" + strings.Replace(change, object, object[1:], 1), "unexpected object"},
			"no object":     {header + "\n" + strings.Replace(change, object, strings.Repeat("x", 40), 1), "unexpected object"},
		} {
			log := logReader{bufio.NewReader(strings.NewReader(c.log))}
			_, err := log.follow(Chain{object}, 0, func(Commit) bool { return true })
			require.ErrorContains(t, err, c.problem, name)
		}
	})
}

// Whatever the parser accepts, it made nothing up: hash and paths stand in the
// log, in this order, and an entry has an object exactly if it has a mode.
func FuzzLog(f *testing.F) {
	object := strings.Repeat("0123456789", 4)
	f.Add([]byte(object + "\x00A <a>\x00t\x00"))
	f.Add([]byte(object + "\x00A <a>\x00t\x00\n:000000 100644 " + object + " " + object + " A\x00p\nq\x00"))
	f.Add([]byte(object + "\x00\x00\x00\n:160000 120000 " + object + " " + object + " T\x00:\x00:100644 000000 " + object + " " + object + " D\x00\xff\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		log := logReader{bufio.NewReader(strings.NewReader(string(data)))}
		commit, err := log.commit()
		if err != nil {
			return
		}
		require.True(t, strings.HasPrefix(string(data), commit.Hash+"\x00"))
		require.LessOrEqual(t, len(commit.Author), 3*maxAuthor)
		rest := string(data)
		for _, change := range commit.Changes {
			require.NotEmpty(t, change.Path)
			require.NotContains(t, change.Path, "\x00")
			for _, entry := range []Entry{change.Before, change.After} {
				require.Equal(t, entry.Mode == 0, entry.Object == "")
			}
			_, after, found := strings.Cut(rest, "\x00"+change.Path+"\x00")
			require.True(t, found)
			rest = "\x00" + after
		}
	})
}

func TestRandomHistories(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			requireFold(t, randomRepository(t, seed, 30))
		})
	}
}
