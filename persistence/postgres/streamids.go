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

// streams remembers which id a stream has, both ways. An id never changes, so
// entries are never wrong; only a server that has lost its newest data can give
// an id to another name. Statements prove that it has not, by the highest id that
// they rest on; else all is forgotten.
//
// There are two generations: what is used moves to the young one, and when that
// is full the old one is forgotten. That keeps what is used without a list.
type streamCache struct {
	limit int // of one generation

	mu         sync.Mutex
	epoch      uint64
	young, old generation
	highest    *stream // of all that the epoch has seen
}

// stream is what is known of one.
type stream struct {
	id   int64
	name persistence.StreamID
	// stored is the highest version that the appends of this epoch have stored.
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

// reset forgets everything; another epoch begins.
func (s *streamCache) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.young, s.old, s.highest = newGeneration(), newGeneration(), nil
}

// proof is the last parameters of a statement that rests on what is known of a stream,
// or only on the journal.
func (j *Journal) proof(s *stream) [][]byte {
	if s == nil {
		return [][]byte{j.id[:], wire.Int8(0), {}}
	}
	return [][]byte{j.id[:], wire.Int8(s.id), []byte(s.name)}
}

// proved are parameters with a proof behind them.
func (j *Journal) proved(s *stream, parameters ...[]byte) [][]byte {
	return append(parameters, j.proof(s)...)
}

// newest is the stream with the highest id of all that are known.
func (s *streamCache) newest() *stream {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.highest
}

// highestOf is the stream with the highest id, nil of none.
func highestOf(all []*stream) (highest *stream) {
	for _, s := range all {
		if s != nil && (highest == nil || s.id > highest.id) {
			highest = s
		}
	}
	return highest
}

// current is the number of the epoch; ids of another one must be asked for again.
func (s *streamCache) currentEpoch() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// named returns a stream by its name, nil when it is not known. The caller holds mu.
func (s *streamCache) byName(name persistence.StreamID) *stream {
	if known := s.young.byName[name]; known != nil {
		return known
	}
	return s.keep(s.old.byName[name])
}

// numbered returns a stream by its id, nil when it is not known. The caller holds mu.
func (s *streamCache) byID(id int64) *stream {
	if known := s.young.byID[id]; known != nil {
		return known
	}
	return s.keep(s.old.byID[id])
}

// keep makes a stream one of the young, if there is one.
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

// remember stores what was asked for in an epoch, unless that is over, and returns
// it. It changes found so that both are the same.
func (s *streamCache) remember(epoch uint64, found map[persistence.StreamID]*stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	for name, answered := range found {
		if known := s.byName(name); known != nil {
			found[name] = known // somebody else has asked meanwhile
			continue
		}
		s.keep(answered)
	}
}

// resolve returns streams, in the order of the names. It makes those that are
// missing in the database when create is set; else they are nil. The epoch tells
// how long they hold.
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

// namesOf returns the names of streams in the order of their ids, "" when there is
// no such stream.
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

// zeroArray is smallint[]: every stream is made in the one partition.
func zeroArray(n int) []byte {
	return wire.Array(wire.TypeInt2, make([]int16, n), (*wire.Values).Int2)
}
