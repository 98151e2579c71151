package appending

import (
	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// DecodeOutcome decodes a row of append_checked or append_strict: the outcome of an append.
func DecodeOutcome(item *appender.Item, row [][]byte) persistence.Outcome {
	last, ok := wire.ReadInt8(row[1])
	switch outcome := string(row[0]); {
	case !ok:
	case outcome == "ok", outcome == "duplicate":
		position, ok := wire.ReadInt8(row[2])
		if !ok {
			break
		}
		return persistence.Outcome{
			First: persistence.Version(last) - persistence.Version(len(item.Events)) + 1, Last: persistence.Version(last),
			Position: persistence.Position{Part: Partition, Offset: position}, Duplicate: outcome == "duplicate",
		}
	case outcome == "conflict":
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: persistence.Version(last)}}
	case outcome == "id_reused" && len(row[3]) == 16:
		return persistence.Outcome{Err: &persistence.EventIDReusedError{Stream: item.Stream, ID: persistence.EventID(row[3])}}
	}
	return persistence.Outcome{Err: Contradiction(item.Stream)}
}

// StreamEnd says where a stream ends, which is all that an append without events asks for.
type StreamEnd struct {
	version, first persistence.Version
	created        bool
}

// DecodeStreamEnd decodes the rows of stream_by_name.sql. A stream without a row is at its
// beginning.
func DecodeStreamEnd(rows [][][]byte) (StreamEnd, bool) {
	if len(rows) == 0 {
		return StreamEnd{first: 1}, true
	}
	version, ok1 := wire.ReadInt8(rows[0][1])
	first, ok2 := wire.ReadInt8(rows[0][2])
	if !ok1 || !ok2 || version < 0 || first < 1 || len(rows[0][4]) != 1 {
		return StreamEnd{}, false
	}
	return StreamEnd{persistence.Version(version), persistence.Version(first), rows[0][4][0] != 0}, true
}

// Outcome returns the outcome of an append without events.
func (e StreamEnd) Outcome(item *appender.Item) persistence.Outcome {
	if !item.Expected.Admits(e.version, e.first, e.created) {
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: e.version}}
	}
	return persistence.Outcome{Last: e.version}
}
