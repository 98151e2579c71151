package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
)

// Commit is one step of a history: what changed against its first parent.
type Commit struct {
	// Ordinal counts the commits of a [Chain], from 1.
	Ordinal uint64
	Hash    string
	// Author is "name <address>", made valid UTF-8 and cut to 1000 bytes.
	Author string
	// Time is when the author wrote it, in RFC 3339 with the time zone of then; empty when
	// git cannot read the date that the commit holds.
	Time    string
	Changes []Change
}

const maxAuthor = 1000

// Change is what a commit did to one path. A path is bytes, in any encoding.
type Change struct {
	Path          string
	Before, After Entry
}

// Chain is a history without its side branches: the hashes from the root commit
// to the head, each the first parent of the next.
type Chain []string

// At returns the hash with an ordinal, or "" when the chain is not that long.
func (c Chain) At(ordinal uint64) string {
	if ordinal == 0 || ordinal > uint64(len(c)) {
		return ""
	}
	return c[ordinal-1]
}

// Head returns the hash of the last commit, "" if there is none.
func (c Chain) Head() string { return c.At(uint64(len(c))) }

// Ordinal returns the place of a commit in the chain; 0 means nowhere.
func (c Chain) Ordinal(hash string) uint64 { return uint64(slices.Index(c, hash) + 1) }

// Repository is a git repository, read by running git.
type Repository struct{ dir string }

// OpenRepository returns an error when dir does not lie in a repository.
func OpenRepository(ctx context.Context, dir string) (*Repository, error) {
	r := &Repository{dir: dir}
	if _, err := r.git(ctx, "rev-parse", "--git-dir"); err != nil {
		return nil, fmt.Errorf("open repository %s: %w", dir, err)
	}
	return r, nil
}

// Chain lists the commits from the root to HEAD. A repository without commits
// has an empty chain.
func (r *Repository) Chain(ctx context.Context) (Chain, error) {
	if _, err := r.git(ctx, "rev-parse", "--verify", "--quiet", "HEAD"); err != nil {
		return nil, ctx.Err()
	}
	hashes, err := r.git(ctx, "rev-list", "--first-parent", "--reverse", "HEAD", "--")
	if err != nil {
		return nil, fmt.Errorf("list commits: %w", err)
	}
	return strings.Fields(string(hashes)), nil
}

// Resolve returns the hash of the commit that a name stands for: a branch, a
// tag, "HEAD~3", the beginning of a hash.
func (r *Repository) Resolve(ctx context.Context, name string) (string, error) {
	hash, err := r.git(ctx, "rev-parse", "--verify", "--quiet", name+"^{commit}")
	if err != nil {
		return "", fmt.Errorf("no commit %q in %s", name, r.dir)
	}
	return strings.TrimSpace(string(hash)), nil
}

// Tree returns what "git ls-tree -r" lists for a commit.
func (r *Repository) Tree(ctx context.Context, commit string) (Tree, error) {
	listing, err := r.git(ctx, "ls-tree", "-r", "-z", "--full-tree", commit)
	if err != nil {
		return nil, fmt.Errorf("list tree: %w", err)
	}
	tree := Tree{}
	for line := range strings.SplitSeq(strings.TrimSuffix(string(listing), "\x00"), "\x00") {
		if line == "" {
			continue // an empty tree
		}
		entry, path, _ := strings.Cut(line, "\t")
		fields := strings.Fields(entry) // mode, type, object
		if len(fields) != 3 || path == "" {
			return nil, fmt.Errorf("list tree: unexpected line %q", line)
		}
		if tree[path], err = parseEntry(fields[0], fields[2]); err != nil {
			return nil, fmt.Errorf("list tree: %w", err)
		}
	}
	return tree, nil
}

// Commits yields the commits of a chain that follow an ordinal, in order, from
// one git process that runs as long as the loop.
func (r *Repository) Commits(ctx context.Context, chain Chain, after uint64) iter.Seq2[Commit, error] {
	return func(yield func(Commit, error) bool) {
		running, cancel := context.WithCancel(ctx)
		defer cancel()
		// Plumbing, because what the porcelain prints depends on the user's settings.
		// It compares just the pairs it is told, so a merge needs no special care.
		git := r.command(running, "diff-tree", "--stdin", "--root", "--always", "-r", "-z", "--raw",
			"--no-abbrev", "--no-renames", "--ignore-submodules=none",
			"--encoding=UTF-8", "--format=tformat:%H%x00%an <%ae>%x00%aI")
		var complaint bytes.Buffer
		git.Stdin, git.Stderr = pairs(chain, after), &complaint
		output, err := git.StdoutPipe()
		if err == nil {
			err = git.Start()
		}
		if err != nil {
			yield(Commit{}, fmt.Errorf("read history: %w", err))
			return
		}
		log := logReader{bufio.NewReaderSize(output, 1<<16)}
		listening, err := log.follow(chain, after, func(c Commit) bool { return yield(c, nil) })
		if !listening {
			cancel()
		}
		_, _ = io.Copy(io.Discard, output) // git must come to its end to say what was wrong
		failed := git.Wait()
		switch {
		case !listening: // whoever leaves the loop wants no more, errors neither
		case ctx.Err() != nil:
			yield(Commit{}, context.Cause(ctx))
		case failed != nil:
			yield(Commit{}, fmt.Errorf("read history: %w", gitError(failed, complaint.Bytes())))
		case err != nil:
			yield(Commit{}, fmt.Errorf("read history: %w", err))
		}
	}
}

// pairs writes what diff-tree shall compare: a commit and its first parent on
// each line, the root alone.
func pairs(chain Chain, after uint64) io.Reader {
	var lines bytes.Buffer
	for ordinal := after + 1; ordinal <= uint64(len(chain)); ordinal++ {
		fmt.Fprintf(&lines, "%s %s\n", chain.At(ordinal), chain.At(ordinal-1))
	}
	return &lines
}

// logReader reads what diff-tree prints for a commit: three fields, then two for
// each change, all ended by NUL. Changes begin with ":", behind a line feed that
// ends the header.
type logReader struct{ *bufio.Reader }

// follow yields commits until the chain is complete, or until yield returns
// false: then it returns false too. A log that strays from the chain is an error.
func (r *logReader) follow(chain Chain, after uint64, yield func(Commit) bool) (bool, error) {
	for ordinal := after + 1; ordinal <= uint64(len(chain)); ordinal++ {
		commit, err := r.commit()
		if err != nil {
			return true, fmt.Errorf("commit %d: %w", ordinal, err)
		}
		if commit.Hash != chain.At(ordinal) {
			return true, fmt.Errorf("commit %d: git shows %q instead of %s", ordinal, commit.Hash, chain.At(ordinal))
		}
		commit.Ordinal = ordinal
		if !yield(commit) {
			return false, nil
		}
	}
	return true, nil
}

func (r *logReader) commit() (Commit, error) {
	var header [3]string
	for i := range header {
		var err error
		if header[i], err = r.field(); err != nil {
			return Commit{}, err
		}
	}
	// Whatever stands in a commit must fit into metadata.
	author := strings.ToValidUTF8(header[1][:min(len(header[1]), maxAuthor)], "\uFFFD")
	commit := Commit{Hash: header[0], Author: author, Time: header[2]}
	for r.changeFollows() {
		change, err := r.change()
		if err != nil {
			return Commit{}, err
		}
		commit.Changes = append(commit.Changes, change)
	}
	return commit, nil
}

func (r *logReader) changeFollows() bool {
	next, _ := r.Peek(2) // at the end of the log it is shorter
	return bytes.HasPrefix(bytes.TrimPrefix(next, []byte("\n")), []byte(":"))
}

// change reads ":100644 100755 <object> <object> M" and the path.
func (r *logReader) change() (change Change, err error) {
	line, err := r.field()
	if err != nil {
		return change, err
	}
	fields := strings.Split(strings.TrimLeft(line, "\n:"), " ")
	if len(fields) != 5 {
		return change, fmt.Errorf("unexpected change %q", line)
	}
	if change.Before, err = parseEntry(fields[0], fields[2]); err != nil {
		return change, err
	}
	if change.After, err = parseEntry(fields[1], fields[3]); err != nil {
		return change, err
	}
	if change.Path, err = r.field(); err != nil {
		return change, err
	}
	if change.Path == "" {
		return change, fmt.Errorf("change %q has no path", line)
	}
	return change, nil
}

func (r *logReader) field() (string, error) {
	field, err := r.ReadString(0)
	if errors.Is(err, io.EOF) {
		return "", errors.New("the log of git ends early (is an object missing? see git fsck)")
	}
	if err != nil {
		return "", err
	}
	return field[:len(field)-1], nil
}

// parseEntry reads a mode and an object as git prints them. Mode 000000 is the
// zero [Entry].
func parseEntry(mode, object string) (Entry, error) {
	bits, err := strconv.ParseUint(mode, 8, 32)
	if err != nil {
		return Entry{}, fmt.Errorf("unexpected mode %q", mode)
	}
	if bits == 0 {
		return Entry{}, nil
	}
	// 40 digits of SHA-1 or 64 of SHA-256.
	if (len(object) != 40 && len(object) != 64) || strings.Trim(object, "0123456789abcdef") != "" {
		return Entry{}, fmt.Errorf("unexpected object %q", object)
	}
	return Entry{Mode: uint32(bits), Object: object}, nil
}

func (r *Repository) git(ctx context.Context, arguments ...string) ([]byte, error) {
	output, err := r.command(ctx, arguments...).Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return nil, gitError(err, exit.Stderr)
	}
	return output, err
}

func (r *Repository) command(ctx context.Context, arguments ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "git", append([]string{"-C", r.dir}, arguments...)...)
	// The argument says which repository, not what a hook left in the environment.
	command.Env = append(slices.DeleteFunc(os.Environ(), namesRepository), "LC_ALL=C")
	return command
}

func namesRepository(variable string) bool {
	name, _, _ := strings.Cut(variable, "=")
	switch name {
	case "GIT_DIR", "GIT_COMMON_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE",
		"GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX":
		return true
	}
	return false
}

// gitError says what git said, which is clearer than its exit status.
func gitError(err error, complaint []byte) error {
	text := strings.TrimPrefix(string(bytes.TrimSpace(complaint)), "fatal: ")
	if text == "" {
		return err
	}
	return fmt.Errorf("git: %s", text)
}
