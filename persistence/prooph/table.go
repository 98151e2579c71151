package prooph

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stele-es/stele/persistence"
)

// table is one of prooph's, read page by page.
type table struct {
	number   int    // among those that are read
	name     string // of the stream in prooph
	relation string // quoted
	metadata []byte
	strategy Strategy // Detect when the table is missing

	page  []row // what is read and not taken yet
	after int64 // the last row read; beforeAll when there was none
	empty bool  // nothing lies behind the page
}

const beforeAll = math.MinInt64

// row is one event as prooph has it.
type row struct {
	no                int64
	id                persistence.EventID
	name              string
	payload, metadata []byte
	at                pgtype.Timestamp
	// The aggregate according to the metadata, as text; nil when it is not named there.
	aggregateType, aggregateID, version *string
}

// before tells which of two rows of different tables comes first, by the clock.
func (r *row) before(other *row) bool {
	if r.at.InfinityModifier != other.at.InfinityModifier {
		return r.at.InfinityModifier < other.at.InfinityModifier
	}
	return r.at.Time.Before(other.at.Time)
}

// time is when the row was created, or false when it is not a time that events can
// have.
func (r *row) time() (time.Time, bool) {
	year := r.at.Time.Year()
	return r.at.Time.UTC(), r.at.InfinityModifier == pgtype.Finite && year >= 1 && year <= 9999
}

// fill reads the next page when none is left, and reports whether there is a row.
func (t *table) fill(ctx context.Context, s *source, rows, bytes int) (bool, error) {
	if len(t.page) > 0 || t.empty {
		return len(t.page) > 0, nil
	}
	t.page = make([]row, 0, min(rows, 64))
	err := s.query(ctx, t.add, statement("page", t.relation), t.after, rows, bytes)
	if err != nil {
		return false, t.failed(err)
	}
	if len(t.page) == 0 {
		t.page, t.empty = nil, true
		return false, nil
	}
	t.after = t.page[len(t.page)-1].no
	return true, nil
}

func (t *table) add(rows pgx.Rows) error {
	var r row
	err := rows.Scan(&r.no, (*[16]byte)(&r.id), &r.name, &r.payload, &r.metadata, &r.at, &r.aggregateType, &r.aggregateID, &r.version)
	if err != nil {
		return err
	}
	t.page = append(t.page, r)
	return nil
}

func (t *table) failed(err error) error { return fmt.Errorf("read the table of %q: %w", t.name, err) }
