package postgres

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// streamCache maps names of streams to ids, and ids to names. An id never changes, so
// entries are never wrong, except on a server that has lost its newest data and gives an id
// to another name. Statements prove that this has not happened, by the highest id that they
// rest on. Otherwise the cache is emptied.
//
// There are two generations. An entry that is used moves to the young one. When the young
// generation is full, it becomes the old one, and the old one is forgotten. That keeps the
// entries in use without a list.
type streamCache struct {
	limit int // of one generation

	mu         sync.Mutex
	epoch      uint64
	young, old generation
	highest    *stream // the one with the highest id in this epoch
}

// stream is an entry of the cache.
type stream struct {
	id   int64
	name persistence.StreamID
	// stored is the highest version that appends have stored in this epoch.
	stored atomic.Int64
}

type generation struct {
	byName map[persistence.StreamID]*stream
	byID   map[int64]*stream
}

func newGeneration() generation {
	return generation{byName: map[persistence.StreamID]*stream{}, byID: map[int64]*stream{}}
}

func newStreamCache(limit int) *streamCache {
	return &streamCache{limit: max(1, limit/2), young: newGeneration(), old: newGeneration()}
}

// reset forgets everything and begins another epoch.
func (s *streamCache) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.young, s.old, s.highest = newGeneration(), newGeneration(), nil
}

// proof returns the last parameters of a statement: the id of the journal, and the stream
// whose id the statement rests on, nil for none.
func (j *Journal) proof(s *stream) [][]byte {
	if s == nil {
		return [][]byte{j.id[:], wire.Int8(0), {}}
	}
	return [][]byte{j.id[:], wire.Int8(s.id), []byte(s.name)}
}

// proved returns parameters with a proof behind them.
func (j *Journal) proved(s *stream, parameters ...[]byte) [][]byte {
	return append(parameters, j.proof(s)...)
}

// newest returns the stream with the highest id, nil when no stream is known.
func (s *streamCache) newest() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}

// highestOf returns the stream with the highest id, nil of none.
func highestOf(all []*stream) (highest *stream) {
	for _, s := range all {
		if s != nil && (highest == nil || s.id > highest.id) {
			highest = s
		}
	}
	return highest
}

// currentEpoch returns the number of the epoch. Ids of another epoch must be looked up again.
func (s *streamCache) currentEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// byName returns the stream of a name, nil when it is not known. The caller holds mu.
func (s *streamCache) byName(name persistence.StreamID) *stream {
	if known := s.young.byName[name]; known != nil {
		return known
	}
	return s.keep(s.old.byName[name])
}

// byID returns the stream of an id, nil when it is not known. The caller holds mu.
func (s *streamCache) byID(id int64) *stream {
	if known := s.young.byID[id]; known != nil {
		return known
	}
	return s.keep(s.old.byID[id])
}

// keep puts a stream into the young generation, unless it is nil.
func (s *streamCache) keep(known *stream) *stream {
	if known == nil {
		return nil
	}
	if len(s.young.byName) >= s.limit {
		s.old, s.young = s.young, newGeneration()
	}
	s.young.byName[known.name], s.young.byID[known.id] = known, known
	if s.highest == nil || known.id > s.highest.id {
		s.highest = known
	}
	return known
}

// remember puts streams that were looked up in an epoch into the cache, unless that epoch is
// over. It replaces those in found that are known already.
func (s *streamCache) remember(epoch uint64, found map[persistence.StreamID]*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	for name, answered := range found {
		if known := s.byName(name); known != nil {
			found[name] = known // another goroutine has looked it up meanwhile
			continue
		}
		s.keep(answered)
	}
}

// resolve returns streams in the order of their names. Those that are missing in the database
// are created when create is set, otherwise they are nil. The ids hold while the epoch lasts.
func (j *Journal) resolve(ctx context.Context, names []persistence.StreamID, create bool) (all []*stream, epoch uint64, err error) {
	all = make([]*stream, len(names))
	var missing []persistence.StreamID
	j.streams.mu.Lock()
	epoch = j.streams.epoch
	for i, name := range names {
		if all[i] = j.streams.byName(name); all[i] == nil {
			missing = append(missing, name)
		}
	}
	j.streams.mu.Unlock()
	if len(missing) == 0 {
		return all, epoch, nil
	}
	found, err := j.askIDs(ctx, missing, create)
	if err != nil {
		return nil, epoch, err
	}
	j.streams.remember(epoch, found)
	for i, name := range names {
		if all[i] == nil {
			all[i] = found[name]
		}
	}
	return all, epoch, nil
}

func (j *Journal) askIDs(ctx context.Context, names []persistence.StreamID, create bool) (map[persistence.StreamID]*stream, error) {
	found := make(map[persistence.StreamID]*stream, len(names))
	statement := j.sql.streamFind
	parameters := [][]byte{wire.Texts(names)}
	if create {
		statement = j.sql.streamIDs
		parameters = append(parameters, zeroArray(len(names)))
	}
	parameters = j.proved(nil, parameters...)
	add := func(row [][]byte) error {
		if create {
			ordinal, ok := wire.ReadInt8(row[0])
			id, ok2 := wire.ReadInt8(row[1])
			if !ok || !ok2 || ordinal < 1 || int(ordinal) > len(names) {
				return wire.ErrUndecodable
			}
			name := names[ordinal-1]
			found[name] = &stream{id: id, name: name}
			return nil
		}
		id, ok := wire.ReadInt8(row[0])
		if !ok {
			return wire.ErrUndecodable
		}
		name := persistence.StreamID(row[1])
		found[name] = &stream{id: id, name: name}
		return nil
	}
	err := j.withConn(ctx, func(conn *pgx.Conn) error { return j.queryOn(ctx, conn, statement, parameters, add) })
	if err == nil && create && len(found) < len(names) {
		err = wire.ErrUndecodable
	}
	return found, err
}

// namesOf returns the names of streams in the order of their ids, "" where there is no such
// stream.
func (j *Journal) namesOf(ctx context.Context, conn *pgx.Conn, ids []int64) ([]persistence.StreamID, error) {
	names := make([]persistence.StreamID, len(ids))
	var missing []int64
	j.streams.mu.Lock()
	epoch := j.streams.epoch
	for i, id := range ids {
		if known := j.streams.byID(id); known != nil {
			names[i] = known.name
		} else {
			missing = append(missing, id)
		}
	}
	j.streams.mu.Unlock()
	if len(missing) == 0 {
		return names, nil
	}
	slices.Sort(missing)
	found, byID := map[persistence.StreamID]*stream{}, map[int64]persistence.StreamID{}
	parameters := j.proved(nil, wire.Int8s(slices.Compact(missing)))
	err := j.queryOn(ctx, conn, j.sql.streamNames, parameters, func(row [][]byte) error {
		id, ok := wire.ReadInt8(row[0])
		if !ok {
			return wire.ErrUndecodable
		}
		name := persistence.StreamID(row[1])
		byID[id], found[name] = name, &stream{id: id, name: name}
		return nil
	})
	if err != nil {
		return nil, err
	}
	j.streams.remember(epoch, found)
	for i, id := range ids {
		if names[i] == "" {
			names[i] = byID[id]
		}
	}
	return names, nil
}

// zeroArray returns a smallint[] of the one partition, in which every stream is created.
func zeroArray(n int) []byte {
	return wire.Array(wire.TypeInt2, make([]int16, n), (*wire.Values).Int2)
}
