package postgres

import (
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// proof returns the last parameters of a statement: the id of the journal, and the stream
// whose id the statement rests on, nil for none.
func (j *Journal) proof(s *streamids.Stream) [][]byte {
	if s == nil {
		return [][]byte{j.id[:], wire.Int8(0), {}}
	}
	return [][]byte{j.id[:], wire.Int8(s.ID), []byte(s.Name)}
}

// proved returns parameters with a proof behind them.
func (j *Journal) proved(s *streamids.Stream, parameters ...[]byte) [][]byte {
	return append(parameters, j.proof(s)...)
}

// resolve returns streams in the order of their names. Those that are missing in the database
// are created when create is set, otherwise they are nil. The ids hold while the epoch lasts.
func (j *Journal) resolve(ctx context.Context, names []persistence.StreamID, create bool) (all []*streamids.Stream, epoch uint64, err error) {
	all, missing, epoch := j.streams.ByName(names)
	if len(missing) == 0 {
		return all, epoch, nil
	}
	found, err := j.askIDs(ctx, missing, create)
	if err != nil {
		return nil, epoch, err
	}
	j.streams.Remember(epoch, found)
	for i, name := range names {
		if all[i] == nil {
			all[i] = found[name]
		}
	}
	return all, epoch, nil
}

func (j *Journal) askIDs(ctx context.Context, names []persistence.StreamID, create bool) (map[persistence.StreamID]*streamids.Stream, error) {
	found := make(map[persistence.StreamID]*streamids.Stream, len(names))
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
			found[name] = &streamids.Stream{ID: id, Name: name}
			return nil
		}
		id, ok := wire.ReadInt8(row[0])
		if !ok {
			return wire.ErrUndecodable
		}
		name := persistence.StreamID(row[1])
		found[name] = &streamids.Stream{ID: id, Name: name}
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
	names, missing, epoch := j.streams.ByID(ids)
	if len(missing) == 0 {
		return names, nil
	}
	slices.Sort(missing)
	found, byID := map[persistence.StreamID]*streamids.Stream{}, map[int64]persistence.StreamID{}
	parameters := j.proved(nil, wire.Int8s(slices.Compact(missing)))
	err := j.queryOn(ctx, conn, j.sql.streamNames, parameters, func(row [][]byte) error {
		id, ok := wire.ReadInt8(row[0])
		if !ok {
			return wire.ErrUndecodable
		}
		name := persistence.StreamID(row[1])
		byID[id], found[name] = name, &streamids.Stream{ID: id, Name: name}
		return nil
	})
	if err != nil {
		return nil, err
	}
	j.streams.Remember(epoch, found)
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
