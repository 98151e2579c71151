package postgres

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is the CRC-32C of all that a snapshot says.
func checksum(s *persistence.Snapshot) uint32 {
	var head [8]byte
	binary.BigEndian.PutUint64(head[:], uint64(s.Version))
	sum := crc32.Checksum(head[:], castagnoli)
	binary.BigEndian.PutUint64(head[:], uint64(len(s.Fingerprint)))
	for _, part := range [][]byte{s.EventID[:], head[:], []byte(s.Fingerprint), s.State} {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return sum
}

// LoadSnapshot fulfils [persistence.Snapshots].
func (j *Journal) LoadSnapshot(ctx context.Context, stream persistence.StreamID) (persistence.Snapshot, bool, error) {
	if err := stream.CheckName(); err != nil {
		return persistence.Snapshot{}, false, err
	}
	rows, err := j.ask(ctx, j.sql.snapshotLoad, j.proved(nil, []byte(stream))...)
	if err != nil || len(rows) == 0 {
		return persistence.Snapshot{}, false, err
	}
	row := rows[0]
	version, ok1 := wire.ReadInt8(row[0])
	at, ok2 := wire.ReadTime(row[2])
	sum, ok3 := wire.ReadInt4(row[3])
	if !ok1 || !ok2 || !ok3 || len(row[1]) != 16 {
		return persistence.Snapshot{}, false, nil
	}
	snapshot := persistence.Snapshot{
		Stream: stream, Version: persistence.Version(version), EventID: persistence.EventID(row[1]),
		Fingerprint: string(row[4]), At: at,
	}
	if len(row[5]) > 0 {
		snapshot.State = row[5]
	}
	if checksum(&snapshot) != uint32(sum) {
		return persistence.Snapshot{}, false, nil
	}
	return snapshot, true, nil
}

// SaveSnapshot fulfils [persistence.Snapshots].
func (j *Journal) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if err := snapshot.Check(); err != nil {
		return err
	}
	sum := binary.BigEndian.AppendUint32(nil, checksum(&snapshot))
	state := snapshot.State
	if state == nil {
		state = []byte{} // nil is NULL
	}
	_, err := j.ask(ctx, j.sql.snapshotSave,
		j.proved(nil, []byte(snapshot.Stream), wire.Int8(int64(snapshot.Version)), snapshot.EventID[:], sum, []byte(snapshot.Fingerprint), state)...)
	return err
}

// DeleteSnapshot fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshot(ctx context.Context, stream persistence.StreamID) error {
	if err := stream.CheckName(); err != nil {
		return err
	}
	_, err := j.ask(ctx, j.sql.snapshotDelete, []byte(stream))
	return err
}

// DeleteSnapshots fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	if err := persistence.CheckCategory(category); err != nil {
		return 0, err
	}
	var at []byte // NULL
	if !before.IsZero() {
		at = wire.Time(before)
	}
	rows, err := j.ask(ctx, j.sql.snapshotsDelete, []byte(category), at)
	return len(rows), err
}
