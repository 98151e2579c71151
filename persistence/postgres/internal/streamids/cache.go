// Package streamids remembers which ids the streams of a Postgres journal have.
package streamids

import (
	"sync"
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
)

// Cache maps names of streams to ids, and ids to names. An id never changes, so entries are
// never wrong, except on a server that has lost its newest data and gives an id to another
// name. Statements prove that this has not happened, by the highest id that they rest on.
// Otherwise the cache is emptied, and another epoch begins.
//
// There are two generations. An entry that is used moves to the young one. When the young
// generation is full, it becomes the old one, and the old one is forgotten. That keeps the
// entries in use without a list.
type Cache struct {
	limit int // of one generation

	mu         sync.Mutex
	epoch      uint64
	young, old generation
	highest    *Stream // the one with the highest id in this epoch
}

// Stream is a stream whose id is known.
type Stream struct {
	// ID is the id of the stream in the database.
	ID int64
	// Name is the name of the stream.
	Name persistence.StreamID
	// Stored is the highest version that appends have stored in this epoch.
	Stored atomic.Int64
}

type generation struct {
	byName map[persistence.StreamID]*Stream
	byID   map[int64]*Stream
}

func newGeneration() generation {
	return generation{byName: map[persistence.StreamID]*Stream{}, byID: map[int64]*Stream{}}
}

// New returns an empty cache for a number of streams.
func New(limit int) *Cache {
	return &Cache{limit: max(1, limit/2), young: newGeneration(), old: newGeneration()}
}

// Reset forgets everything and begins another epoch.
func (c *Cache) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.epoch++
	c.young, c.old, c.highest = newGeneration(), newGeneration(), nil
}

// Epoch returns the number of the epoch. Ids of another epoch must be looked up again.
func (c *Cache) Epoch() uint64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.epoch
}

// Newest returns the stream with the highest id, nil when no stream is known.
func (c *Cache) Newest() *Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.highest
}

// ByName returns the streams of names, nil for those that are not known, which it also lists,
// and the epoch for which the ids hold.
func (c *Cache) ByName(names []persistence.StreamID) (all []*Stream, missing []persistence.StreamID, epoch uint64) {
	all = make([]*Stream, len(names))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, name := range names {
		if all[i] = c.named(name); all[i] == nil {
			missing = append(missing, name)
		}
	}
	return all, missing, c.epoch
}

// ByID returns the names of ids, "" for those that are not known, which it also lists, and the
// epoch for which the ids hold.
func (c *Cache) ByID(ids []int64) (names []persistence.StreamID, missing []int64, epoch uint64) {
	names = make([]persistence.StreamID, len(ids))
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, id := range ids {
		if known := c.numbered(id); known != nil {
			names[i] = known.Name
		} else {
			missing = append(missing, id)
		}
	}
	return names, missing, c.epoch
}

// Remember puts streams that were looked up in an epoch into the cache, unless that epoch is
// over. It replaces those in found that are known already.
func (c *Cache) Remember(epoch uint64, found map[persistence.StreamID]*Stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.epoch != epoch {
		return
	}
	for name, answered := range found {
		if known := c.named(name); known != nil {
			found[name] = known // another goroutine has looked it up meanwhile
			continue
		}
		c.keep(answered)
	}
}

// named returns the stream of a name, nil when it is not known. The caller holds mu.
func (c *Cache) named(name persistence.StreamID) *Stream {
	if known := c.young.byName[name]; known != nil {
		return known
	}
	return c.keep(c.old.byName[name])
}

// numbered returns the stream of an id, nil when it is not known. The caller holds mu.
func (c *Cache) numbered(id int64) *Stream {
	if known := c.young.byID[id]; known != nil {
		return known
	}
	return c.keep(c.old.byID[id])
}

// keep puts a stream into the young generation, unless it is nil.
func (c *Cache) keep(known *Stream) *Stream {
	if known == nil {
		return nil
	}
	if len(c.young.byName) >= c.limit {
		c.old, c.young = c.young, newGeneration()
	}
	c.young.byName[known.Name], c.young.byID[known.ID] = known, known
	if c.highest == nil || known.ID > c.highest.ID {
		c.highest = known
	}
	return known
}

// Highest returns the stream with the highest id, nil of none.
func Highest(all []*Stream) (highest *Stream) {
	for _, s := range all {
		if s != nil && (highest == nil || s.ID > highest.ID) {
			highest = s
		}
	}
	return highest
}
