package sqlite

import (
	"context"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"github.com/stele-es/stele/persistence"
)

// castagnoli is the polynomial of CRC-32C, which processors compute themselves.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// LoadSnapshot fulfils [persistence.Snapshots].
func (j *Journal) LoadSnapshot(ctx context.Context, name persistence.StreamID) (persistence.Snapshot, bool, error) {
	if err := name.CheckName(); err != nil {
		return persistence.Snapshot{}, false, err
	}
	snapshot, found := persistence.Snapshot{Stream: name}, false
	err := j.reading(ctx, func(r *reader) error {
		row, err := r.loadSnapshot.first(string(name))
		if err != nil || row == nil {
			return err
		}
		c := columns{row: row}
		snapshot.Version, snapshot.EventID = c.version(0), c.id(1)
		snapshot.At = time.UnixMicro(c.integer(2)).UTC()
		sum := c.integer(3)
		snapshot.Fingerprint, snapshot.State = string(c.bytes(4)), c.bytes(5)
		found = !c.wrong && sum == checksum(&snapshot)
		return nil
	})
	if err != nil || !found {
		return persistence.Snapshot{}, false, err
	}
	return snapshot, true, nil
}

// checksum covers what is stored of a snapshot but its time, which nobody relies
// on.
func checksum(s *persistence.Snapshot) int64 {
	var fixed [8 + 16 + 8]byte
	binary.BigEndian.PutUint64(fixed[:], uint64(s.Version))
	copy(fixed[8:], s.EventID[:])
	binary.BigEndian.PutUint64(fixed[24:], uint64(len(s.Fingerprint)))
	sum := crc32.Update(0, castagnoli, fixed[:])
	sum = crc32.Update(sum, castagnoli, []byte(s.Fingerprint))
	return int64(crc32.Update(sum, castagnoli, s.State))
}

// SaveSnapshot fulfils [persistence.Snapshots].
func (j *Journal) SaveSnapshot(ctx context.Context, snapshot persistence.Snapshot) error {
	if err := snapshot.Check(); err != nil {
		return err
	}
	sum := checksum(&snapshot) // not while others wait
	return j.change(ctx, snapshot.Stream, func(w *writer) error {
		at, err := w.stream(snapshot.Stream)
		if err != nil || !at.exists() || snapshot.Version+1 < at.first {
			return err
		}
		_, err = w.do("snapshot_save", at.id, int64(snapshot.Version), snapshot.EventID[:], time.Now().UnixMicro(), sum, filled([]byte(snapshot.Fingerprint)), filled(snapshot.State))
		return err
	})
}

// filled is never NULL.
func filled(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// DeleteSnapshot fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshot(ctx context.Context, name persistence.StreamID) error {
	if err := name.CheckName(); err != nil {
		return err
	}
	return j.change(ctx, name, func(w *writer) error {
		_, err := w.do("snapshot_delete", string(name))
		return err
	})
}

// DeleteSnapshots fulfils [persistence.Snapshots].
func (j *Journal) DeleteSnapshots(ctx context.Context, category string, before time.Time) (int, error) {
	if err := persistence.CheckCategory(category); err != nil {
		return 0, err
	}
	micros := int64(math.MaxInt64)
	if !before.IsZero() {
		micros = before.UnixMicro()
	}
	var forgotten int64
	err := j.change(ctx, "", func(w *writer) (err error) {
		forgotten, err = w.do("snapshot_delete_category", category, micros)
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(forgotten), nil
}
