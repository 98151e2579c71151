package postgres

import (
	"context"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/appending"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// scavengeRows bounds the events that one transaction empties.
const scavengeRows = 1000

// Scavenge fulfils [persistence.Scavenger].
func (j *Journal) Scavenge(ctx context.Context, stream persistence.StreamID) (events int, err error) {
	if err := stream.CheckName(); err != nil {
		return 0, err
	}
	for from := int64(1); ; {
		row, err := j.change(ctx, stream, persistence.Any, nil, j.sql.scavenge,
			j.proved(nil, []byte(stream), wire.Int8(from), wire.Int4(scavengeRows))...)
		if err != nil {
			return events, permissionError("scavenge", err)
		}
		seen, ok1 := wire.ReadInt8(row[0])
		husks, ok2 := wire.ReadInt8(row[1])
		next, ok3 := wire.ReadInt8(row[2])
		if !ok1 || !ok2 || !ok3 {
			return events, appending.Contradiction(stream)
		}
		events += int(husks)
		if from = next; seen < scavengeRows {
			return events, nil
		}
	}
}
