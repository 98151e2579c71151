package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/sqlitefile"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Journal keeps streams in a file; use [Open]. Besides [persistence.Journal] it
// has all abilities that package persistence knows: it is a [persistence.Submitter],
// a [persistence.PageReader], a [persistence.Transactor], a [persistence.Scavenger],
// a [persistence.Importer], a [persistence.Checker], and keeps
// [persistence.Snapshots] and [persistence.Schemas].
type Journal struct {
	config  Config
	path    string // Path, wherever the program goes
	file    string // Path without symbolic links
	files   atomic.Pointer[sqlitefile.Files]
	id      persistence.JournalID
	lock    *fileLock
	queue   *appender.Queue
	readers *readers
	head    journalkit.Head
	polls   turns
	nudged  chan struct{} // holds a nudge until a reader that waits takes it

	// writing protects writer, mark and damaged. The queue's goroutine holds it while it
	// commits, a transaction from its first append on.
	writing gate
	writer  *writer // nil while the file is away
	mark    mark    // the last event that is stored
	damaged error   // set for good once the file has been found corrupt

	stopped chan struct{} // closed when the queue's goroutine has ended
	closing chan struct{} // closed when Close begins
	closed  sync.Once
	left    error // what Close returned
}

var (
	_ persistence.Journal    = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
	_ persistence.Transactor = (*Journal)(nil)
	_ persistence.Scavenger  = (*Journal)(nil)
	_ persistence.Importer   = (*Journal)(nil)
	_ persistence.Snapshots  = (*Journal)(nil)
	_ persistence.Schemas    = (*Journal)(nil)
	_ persistence.Checker    = (*Journal)(nil)
)

// Open opens the journal in a file, and creates or migrates it first if need be.
// Errors: [*persistence.UnavailableError] when the file is in use or cannot be
// written, [*persistence.CorruptError] when it is no database,
// [*persistence.TablesError] when a later release has written it, and
// [*persistence.InvalidError] when it belongs to another program.
func Open(ctx context.Context, config Config) (*Journal, error) {
	if err := sqlitefile.CheckPath(config.Path); err != nil {
		return nil, err
	}
	config.Logger = usercode.Logger(config.Logger)
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	j, err := open(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("open the journal %s: %w", config.Path, err)
	}
	go j.run() // ends in Close
	return j, nil
}

func open(ctx context.Context, config Config) (*Journal, error) {
	path, err := filepath.Abs(config.Path)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the journal's directory cannot be found", Err: err}
	}
	file, err := sqlitefile.RealPath(path)
	if err != nil {
		return nil, &persistence.UnavailableError{Reason: "the journal's directory cannot be found", Err: err}
	}
	if err := sqlitefile.CheckFile(file); err != nil {
		return nil, err
	}
	if remote(filepath.Dir(file)) {
		return nil, &persistence.InvalidError{Field: "path", Reason: "lies on a network file system, where the journal's file cannot be shared safely"}
	}
	j := &Journal{
		config: config, path: path, file: file, writing: make(gate, 1),
		stopped: make(chan struct{}), closing: make(chan struct{}), nudged: make(chan struct{}, 1),
	}
	j.readers = newReaders(j.openReader)
	j.queue = appender.New(appender.Config{Commit: j.commit, Logger: config.Logger})
	if config.ReadOnly {
		return j, j.openToRead(ctx)
	}
	if err := foreign(file); err != nil {
		return nil, err
	}
	if j.lock, err = lock(file + ".lock"); err != nil {
		return nil, err
	}
	if j.writer, err = openWriter(ctx, file, config.Relaxed); err != nil {
		return nil, errors.Join(err, j.lock.release())
	}
	if err := j.adopt(j.writer); err != nil {
		return nil, errors.Join(err, j.writer.close(), j.lock.release())
	}
	j.id = j.writer.id
	j.publish()
	return j, nil
}

// foreign reports a file that was there before any journal was in its place, and is
// none: so no lock is left beside it.
func foreign(file string) error {
	if _, err := os.Stat(file + ".lock"); err == nil {
		return nil // whoever opens the file to write finds out
	}
	if info, err := os.Stat(file); err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // likewise
	}
	_, err := peek(file)
	if errors.Is(err, persistence.ErrUnavailable) {
		return nil // likewise; other programs are waited for then
	}
	return err
}

// openToRead sees that there is a journal of this release.
func (j *Journal) openToRead(ctx context.Context) error {
	files, err := sqlitefile.Named(j.path, j.file)
	if err != nil {
		return &persistence.UnavailableError{Reason: "there is no file to read", Err: err}
	}
	j.files.Store(files)
	all, err := steps()
	if err != nil {
		return err
	}
	// Before anything is asked that only a journal can answer.
	have, err := peek(j.file)
	if err != nil {
		return err
	}
	if want := int64(len(all)); have != want {
		return &persistence.TablesError{Have: have, Want: want, Fix: "sqlite.Open without ReadOnly, of the same release, which brings the file up to date"}
	}
	err = j.reading(ctx, func(r *reader) (err error) {
		j.id, err = identityOf(r.conn)
		return err
	})
	if err == nil {
		_, err = j.Head(ctx)
	}
	if err != nil {
		err = errors.Join(err, j.readers.close())
	}
	return err
}

// openReader opens a reader on the file that the writer has open.
func (j *Journal) openReader() (*reader, error) {
	if err := j.found(); err != nil {
		return nil, err
	}
	r, err := openReader(j.file)
	if err != nil {
		return nil, definite(err)
	}
	if err := j.found(); err != nil {
		return nil, errors.Join(err, r.close())
	}
	return r, nil
}

// found returns an error unless the names lead to the files that are open.
func (j *Journal) found() error {
	files := j.files.Load()
	if err := files.Check(); err != nil {
		return err
	}
	return files.CheckLog()
}

func (j *Journal) run() {
	defer close(j.stopped)
	j.queue.Run()
}

// Identity returns the id that was made with the file.
func (j *Journal) Identity() persistence.JournalID { return j.id }

// Close writes what was taken, moves the log into the file and gives the file
// free. Reads under way end with their page. It waits for the body of a transaction
// that has begun to write, which then is not committed.
func (j *Journal) Close() error {
	j.closed.Do(func() {
		close(j.closing)
		// Without a bound: what was taken is written or refused by SQLite, in the end.
		j.queue.Close(detached)
		<-j.stopped
		j.left = errors.Join(j.readers.close(), j.shut(), j.lock.release())
	})
	return j.left
}

func (j *Journal) shut() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.writer == nil {
		return nil
	}
	j.files.Store(j.files.Load().Closed())
	_, err := j.writer.emptyLog(detached) // as far as other programs let it
	err = errors.Join(err, j.writer.close())
	j.writer = nil
	return err
}

func isClosed(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}
