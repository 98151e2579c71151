package postgres

import (
	"context"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// streams remembers which id a stream has, both ways. An id never changes, so
// entries are never wrong; only a server that has lost its newest data can give
// an id to another name, hence reset.
//
// There are two generations: what is used moves to the young one, and when that
// is full the old one is forgotten. That keeps what is used without a list.
type streams struct {
	limit int // of one generation

	mu         sync.Mutex
	epoch      uint64
	young, old generation
}

type generation struct {
	ids   map[persistence.StreamID]int64
	names map[int64]persistence.StreamID
}

func newGeneration() generation {
	return generation{ids: map[persistence.StreamID]int64{}, names: map[int64]persistence.StreamID{}}
}

func newStreams(limit int) *streams {
	return &streams{limit: max(1, limit/2), young: newGeneration(), old: newGeneration()}
}

// reset forgets everything and returns the number of the epoch that begins.
func (s *streams) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.epoch++
	s.young, s.old = newGeneration(), newGeneration()
}

// current is the number of the epoch; ids of another one must be asked for again.
func (s *streams) current() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// id returns the id of a stream, 0 when it is not known. The caller holds mu.
func (s *streams) id(name persistence.StreamID) int64 {
	if id := s.young.ids[name]; id != 0 {
		return id
	}
	id := s.old.ids[name]
	if id != 0 {
		s.put(name, id)
	}
	return id
}

// name returns the name of a stream, "" when it is not known. The caller holds mu.
func (s *streams) name(id int64) persistence.StreamID {
	if name := s.young.names[id]; name != "" {
		return name
	}
	name := s.old.names[id]
	if name != "" {
		s.put(name, id)
	}
	return name
}

func (s *streams) put(name persistence.StreamID, id int64) {
	if len(s.young.ids) >= s.limit {
		s.old, s.young = s.young, newGeneration()
	}
	s.young.ids[name], s.young.names[id] = id, name
}

// remember stores what was asked for in an epoch, unless that is over.
func (s *streams) remember(epoch uint64, found map[persistence.StreamID]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.epoch != epoch {
		return
	}
	for name, id := range found {
		s.put(name, id)
	}
}

// resolve returns the ids of streams, in the order of the names. It makes those
// that are missing in the database when create is set; else their id is 0. The
// epoch tells how long the ids hold.
func (j *Journal) resolve(ctx context.Context, names []persistence.StreamID, create bool) (ids []int64, epoch uint64, err error) {
	ids = make([]int64, len(names))
	var missing []persistence.StreamID
	j.streams.mu.Lock()
	epoch = j.streams.epoch
	for i, name := range names {
		if ids[i] = j.streams.id(name); ids[i] == 0 {
			missing = append(missing, name)
		}
	}
	j.streams.mu.Unlock()
	if len(missing) == 0 {
		return ids, epoch, nil
	}
	found, err := j.askIDs(ctx, missing, create)
	if err != nil {
		return nil, epoch, err
	}
	j.streams.remember(epoch, found)
	for i, name := range names {
		if ids[i] == 0 {
			ids[i] = found[name]
		}
	}
	return ids, epoch, nil
}

func (j *Journal) askIDs(ctx context.Context, names []persistence.StreamID, create bool) (map[persistence.StreamID]int64, error) {
	found := make(map[persistence.StreamID]int64, len(names))
	statement := statement{name: "stele_stream_find", sql: j.sql.streamFind}
	parameters := [][]byte{textArray(names)}
	if create {
		statement.name, statement.sql = "stele_stream_ids", j.sql.streamIDs
		parameters = append(parameters, zeroArray(len(names)))
	}
	add := func(row [][]byte) error {
		if create {
			ordinal, ok := readInt8(row[0])
			id, ok2 := readInt8(row[1])
			if !ok || !ok2 || ordinal < 1 || int(ordinal) > len(names) {
				return errUndecodable
			}
			found[names[ordinal-1]] = id
			return nil
		}
		id, ok := readInt8(row[0])
		if !ok {
			return errUndecodable
		}
		found[persistence.StreamID(row[1])] = id
		return nil
	}
	err := j.withConn(ctx, func(conn *pgx.Conn) error { return queryOn(ctx, conn, statement, parameters, add) })
	if err == nil && create && len(found) < len(names) {
		err = errUndecodable
	}
	return found, err
}

// nameOf fills the names of streams in by their ids.
func (j *Journal) nameOf(ctx context.Context, conn *pgx.Conn, ids []int64) (map[int64]persistence.StreamID, error) {
	names := make(map[int64]persistence.StreamID, 16)
	var missing []int64
	j.streams.mu.Lock()
	epoch := j.streams.epoch
	for _, id := range ids {
		if _, known := names[id]; known {
			continue
		}
		names[id] = j.streams.name(id)
		if names[id] == "" {
			missing = append(missing, id)
		}
	}
	j.streams.mu.Unlock()
	if len(missing) == 0 {
		return names, nil
	}
	found := make(map[persistence.StreamID]int64, len(missing))
	err := queryOn(ctx, conn, statement{"stele_stream_names", j.sql.streamNames}, [][]byte{int8Array(missing)}, func(row [][]byte) error {
		id, ok := readInt8(row[0])
		if !ok {
			return errUndecodable
		}
		name := persistence.StreamID(row[1])
		names[id], found[name] = name, id
		return nil
	})
	if err != nil {
		return nil, err
	}
	j.streams.remember(epoch, found)
	return names, nil
}

func textArray(names []persistence.StreamID) []byte {
	var m message
	start := m.array(oidText, len(names))
	for _, name := range names {
		m.string(string(name))
	}
	m.endArray(start)
	return m.buf[4:] // without the length, which the driver writes
}

func int8Array(ids []int64) []byte {
	var m message
	start := m.array(oidInt8, len(ids))
	for _, id := range ids {
		m.int8(id)
	}
	m.endArray(start)
	return m.buf[4:]
}

// zeroArray is smallint[]: every stream is made in the one partition.
func zeroArray(n int) []byte {
	var m message
	start := m.array(oidInt2, n)
	for range n {
		m.int2(partition)
	}
	m.endArray(start)
	return m.buf[4:]
}
