package sqlite

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// maxReaders is how many goroutines read at the same time.
const maxReaders = 4

// readers is the pool of connections that read. A reader is taken for one page,
// never while the caller looks at it, so that no read transaction stays open:
// the log could not begin anew, and the file could not be closed.
type readers struct {
	open func() (*reader, error)
	room chan struct{} // holds one for each reader taken

	mu     sync.Mutex
	free   []*reader // the one used last at the end
	closed chan struct{}
}

type reader struct {
	*conn
	begin, commit            *stmt
	read, readBackward       *stmt
	readAll, readAllBackward *stmt
	readWhole                *stmt
	findStream, lastPosition *stmt
	list, listCategory       *stmt
	nextCategory             *stmt
	categoryExists           *stmt
	loadSnapshot             *stmt
	findSchema, listSchemas  *stmt
	schemaUses               *stmt
}

func newReaders(open func() (*reader, error)) *readers {
	return &readers{open: open, room: make(chan struct{}, maxReaders), closed: make(chan struct{})}
}

// with calls fn with a reader of its own.
func (r *readers) with(ctx context.Context, fn func(*reader) error) error {
	select {
	case r.room <- struct{}{}:
	case <-r.closed:
		return journalkit.Closed()
	case <-ctx.Done():
		return journalkit.CallerLeft(ctx)
	}
	defer func() { <-r.room }()
	one, err := r.take()
	if err != nil {
		return err
	}
	defer r.give(one)
	return answer(fn(one))
}

func (r *readers) take() (*reader, error) {
	if one, err := r.spare(); one != nil || err != nil {
		return one, err
	}
	return r.open() // while nobody waits for mu
}

// spare returns a reader that nobody uses, if there is one.
func (r *readers) spare() (*reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if isClosed(r.closed) {
		return nil, journalkit.Closed()
	}
	n := len(r.free)
	if n == 0 {
		return nil, nil //nolint:nilnil // there is none
	}
	one := r.free[n-1]
	r.free = r.free[:n-1]
	return one, nil
}

func (r *readers) give(one *reader) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = append(r.free, one)
}

// pause waits until nobody reads, closes all connections, and keeps further
// readers waiting until resume.
func (r *readers) pause() {
	for range maxReaders {
		r.room <- struct{}{}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, one := range r.free {
		_ = one.close() // it has only read: there is nothing to lose
	}
	r.free = nil
}

func (r *readers) resume() {
	for range maxReaders {
		<-r.room
	}
}

// close refuses further reads and waits for those under way.
func (r *readers) close() error {
	close(r.closed)
	r.pause()
	r.resume()
	return nil
}

func openReader(file string) (*reader, error) {
	c, err := connect(file, "ro")
	if err != nil {
		return nil, err
	}
	err = c.exec("PRAGMA busy_timeout = 5000; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -16384")
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	r, err := newReader(c)
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return r, nil
}

// newReader reads on a connection, which may be the writer's.
func newReader(c *conn) (*reader, error) {
	r := &reader{conn: c}
	return r, prepareAll(c.prepare, []named{
		{&r.begin, "BEGIN"},
		{&r.commit, "COMMIT"},
		{&r.read, whole("read")},
		{&r.readBackward, whole("read_backward")},
		{&r.readAll, whole("read_all")},
		{&r.readAllBackward, whole("read_all_backward")},
		{&r.readWhole, whole("read_whole")},
		{&r.findStream, query("stream_find")},
		{&r.lastPosition, query("head")},
		{&r.list, query("stream_list")},
		{&r.listCategory, query("stream_list_category")},
		{&r.nextCategory, query("category_next")},
		{&r.categoryExists, query("category_exists")},
		{&r.loadSnapshot, query("snapshot_load")},
		{&r.findSchema, query("schema_find")},
		{&r.listSchemas, query("schema_list")},
		{&r.schemaUses, query("schema_uses")},
	})
}

// view has fn see the file as it is at one moment, whatever it asks.
func (r *reader) view(fn func() error) error {
	if err := r.begin.run(); err != nil {
		return err
	}
	return errors.Join(fn(), r.commit.run())
}

// find returns a stream that exists.
func (r *reader) find(name persistence.StreamID) (stream, persistence.StreamInfo, error) {
	at, info, err := lookUp(r.findStream, name)
	if err == nil && !at.exists() {
		err = &persistence.StreamNotFoundError{Stream: name}
	}
	return at, info, err
}

// last is the last position.
func (r *reader) last() (int64, error) {
	row, err := r.lastPosition.first()
	if err != nil {
		return 0, err
	}
	c := columns{row: row}
	last := c.integer(0)
	if c.wrong {
		return 0, &persistence.CorruptError{Reason: "the last position is no number"}
	}
	return last, nil
}

// lastBehind is the last position, which is not before one that was reached.
func (r *reader) lastBehind(reached int64) (int64, error) {
	last, err := r.last()
	if err == nil && last < reached {
		err = strange(fmt.Sprintf("ends at position %d, and had come to %d", last, reached))
	}
	return last, err
}
