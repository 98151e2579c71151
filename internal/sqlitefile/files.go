// Package sqlitefile knows of a SQLite file what SQLite does not look at: whether its
// names still lead to what was opened, how many names it has, and whether a path is
// one.
//
//	files, err := sqlitefile.Opened(path, file)
//	…
//	if err := files.Check(); err != nil { … nothing may be stored … }
//
// It opens no file: to close one again would take SQLite's locks from it (POSIX). It locks
// files beside it, see [TryLock].
package sqlitefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Files are a file of SQLite and what belongs to it, as they were at one moment.
type Files struct {
	main []name // of the file itself, as it was asked for and without symbolic links
	log  []name // of the log and its shared memory
}

type name struct {
	path string
	was  os.FileInfo
}

// Opened notes which files a path leads to, right after SQLite has opened them with a
// write-ahead log; file is the path without symbolic links.
func Opened(path, file string) (*Files, error) {
	f, err := Named(path, file)
	if err != nil {
		return nil, err
	}
	for _, ending := range []string{"-wal", "-shm"} {
		if err := note(&f.log, file+ending); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// Named is [Opened] for whoever only reads: the log is the writer's.
func Named(path, file string) (*Files, error) {
	f := new(Files)
	for _, path := range []string{file, path} {
		if err := note(&f.main, path); err != nil {
			return nil, err
		}
		if path == file {
			f.main = f.main[:1]
		}
	}
	return f, nil
}

func note(names *[]name, path string) error {
	was, err := os.Stat(path)
	if err != nil {
		return lost("cannot be found", err)
	}
	os.SameFile(was, was) // on some systems it is only now that its identity is asked for
	*names = append(*names, name{path, was})
	return nil
}

// Same reports whether the file is that of earlier ones, which may have had another log.
func (f *Files) Same(earlier *Files) bool { return os.SameFile(f.main[0].was, earlier.main[0].was) }

// Closed is the file alone: its log goes when SQLite closes it.
func (f *Files) Closed() *Files { return &Files{main: f.main} }

// Check returns [*persistence.ReplacedError] unless the names of the file lead to what
// was opened. SQLite itself goes on with what it has open, so that what it stores
// would be lost with the program.
func (f *Files) Check() error {
	for _, n := range f.main {
		now, err := os.Stat(n.path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return lost("was deleted or moved while it was open", nil)
		case err != nil:
			return lost("cannot be found", err)
		case !os.SameFile(now, n.was):
			return lost("was replaced by another one while it was open", nil)
		}
	}
	return nil
}

func lost(what string, err error) error {
	return &persistence.ReplacedError{
		Reason: "the file " + what + ": put it back as it was, with its -wal, or end the program, and start it again when the right file is in place", Err: err,
	}
}

// CheckLog reports the log or its shared memory, if their names no longer lead to
// what was opened. All is saved when SQLite closes the file and opens it again.
func (f *Files) CheckLog() error {
	for _, n := range f.log {
		if now, err := os.Stat(n.path); err != nil || !os.SameFile(now, n.was) {
			return lost("has lost its log, which was deleted, moved or replaced while it was open", err)
		}
	}
	return nil
}

// Modified is when somebody has last written to the file, the log apart, as far as
// that is known; and how long it is.
func (f *Files) Modified() (at time.Time, size int64) {
	now, err := os.Stat(f.main[0].path)
	if err != nil {
		return time.Time{}, 0 // Check tells
	}
	return now.ModTime(), now.Size()
}

// Names is the number of names (hard links) of a file, 0 when that is not known or the
// file is not there.
func Names(path string) int {
	info, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return names(info)
}

// CheckFile returns [*persistence.InvalidError] for what SQLite would open and cannot
// keep: a directory, a device, and a file of several names. A file may be missing.
// SQLite keeps the log beside one of them, and whoever opens another one damages the file. A
// file that is mounted by itself, as containers can, is one: the log would stand in the
// container, and go with it.
func CheckFile(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		reason := "is no regular file: give the path of one, which need not exist"
		if info.IsDir() {
			reason = "is a directory: give the path of a file in it, such as " + filepath.Join(path, "bank.db")
		}
		return &persistence.InvalidError{Field: "path", Reason: reason}
	}
	switch n := Names(path); {
	case n > 1:
		return &persistence.InvalidError{
			Field: "path", Reason: fmt.Sprintf("is one of %d names (hard links) of the file, whose log stands beside one of them only: remove the others, or make them symbolic links", n),
		}
	case n == 1 && mounted(path):
		return &persistence.InvalidError{
			Field: "path", Reason: "is a file that is mounted by itself, without the log that stands beside it and holds what is newest: mount its directory",
		}
	}
	return nil
}

// RealPath follows symbolic links, as SQLite does: the log stands beside the file that
// they lead to. The file itself may be missing, its directory may not. The path must be
// absolute.
func RealPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return real, err
	}
	for range 40 { // as many as Linux follows
		target, err := os.Readlink(path)
		if err != nil {
			break // no link, so the file itself is missing
		}
		if !filepath.IsAbs(target) {
			target = filepath.Join(filepath.Dir(path), target)
		}
		path = target
	}
	directory, err := filepath.EvalSymlinks(filepath.Dir(path))
	return filepath.Join(directory, filepath.Base(path)), err
}

// CheckPath returns [*persistence.InvalidError] for what is no path, with the words to
// write instead.
func CheckPath(path string) error {
	var reason string
	switch scheme, _, isURL := strings.Cut(path, "://"); {
	case path == "":
		reason = "is empty: give the path of a file, such as bank.db"
	case strings.Contains(path, "\x00"):
		reason = "holds a zero byte"
	case path == ":memory:" || strings.HasPrefix(path, "file::memory:"):
		reason = `names a database in memory, which would end with the program: give the path of a file, or take what keeps all in memory, memory.New or projections.InMemory; a file of that name is "./:memory:"`
	case isURL && !strings.ContainsAny(scheme, `/\`):
		reason = "is a URL: give the path of a file alone, such as bank.db, without " + scheme + "://"
	case strings.HasPrefix(path, "file:"):
		reason = `is a URI: give the path alone, without "file:" and without settings; a file of that name is "./file:…"`
	default:
		return nil
	}
	return &persistence.InvalidError{Field: "path", Reason: reason}
}
