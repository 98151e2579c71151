package prooph

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Sizes of a batch, which is stored at once. An event is at most a mebibyte and
// its metadata less, so a batch never exceeds what one call may store.
const (
	batchEvents = 500
	batchBytes  = 4 << 20
)

// Check reads all that [Import] would and reports what it would do. Rows that
// would end an import are counted as refused, and the rest is read as if they were
// skipped, or for their versions mended.
func Check(ctx context.Context, config Config) (Report, error) {
	return run(ctx, config, nothing{})
}

// Import stores prooph's events in a journal that is a [persistence.Importer]. The
// report says what was done also when there is an error: that is [*RefusedError] at
// a row that does not fit, or what the journal or the database answered. Running it
// again goes on; see the package's comment.
//
// The metadata of a stream is set at the end, for tables that become one stream,
// and a stream without events is created. Events are not named: prooph has no
// idempotent appends that could be repeated here.
func Import(ctx context.Context, journal persistence.Journal, config Config) (Report, error) {
	able, ok := persistence.As[persistence.Importer](journal)
	if !ok {
		return Report{}, &persistence.InvalidError{Field: "journal", Reason: "cannot import"}
	}
	return run(ctx, config, into{able, journal})
}

// target is where events go.
type target interface {
	store(ctx context.Context, events []persistence.Recorded) error
	// describe sets the metadata of a stream, which it creates if there are no events.
	describe(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, empty bool) error
}

// nothing is the target of who only wants to know.
type nothing struct{}

func (nothing) store(context.Context, []persistence.Recorded) error { return nil }

func (nothing) describe(context.Context, persistence.StreamID, persistence.Metadata, bool) error {
	return nil
}

// into is a journal as a target.
type into struct {
	persistence.Importer
	streams persistence.Streams
}

func (i into) store(ctx context.Context, events []persistence.Recorded) error {
	_, err := i.Import(ctx, events)
	return err
}

func (i into) describe(ctx context.Context, stream persistence.StreamID, metadata persistence.Metadata, empty bool) error {
	if empty {
		if err := i.streams.Create(ctx, stream, metadata); !errors.Is(err, persistence.ErrStreamExists) {
			return err
		}
	}
	if len(metadata) == 0 {
		return nil
	}
	_, err := i.streams.SetMetadata(ctx, stream, metadata, persistence.AnyRevision)
	return err
}

// run moves everything from the tables to the target.
func run(ctx context.Context, config Config, target target) (Report, error) {
	config, connect, err := config.normal()
	if err != nil {
		return Report{}, err
	}
	s, err := open(ctx, connect)
	if err != nil {
		return Report{}, err
	}
	defer s.close(ctx)
	_, checking := target.(nothing)
	t := transfer{source: s, config: config, target: target, fitter: newFitter(config, checking)}
	err = t.run(ctx)
	return *t.fitter.report, err
}

// transfer is one run.
type transfer struct {
	source *source
	config Config
	target target
	fitter *fitter
	total  int64

	batch []persistence.Recorded
	bytes int
	at    time.Time
}

func (t *transfer) run(ctx context.Context) error {
	tables, err := t.tables(ctx)
	if err != nil {
		return err
	}
	if t.config.Progress != nil {
		if t.total, err = t.source.count(ctx, tables); err != nil {
			return err
		}
	}
	if err := t.rows(ctx, tables); err != nil {
		return err
	}
	for _, table := range tables {
		if err := t.describe(ctx, table); err != nil {
			return err
		}
	}
	return nil
}

// tables are those to read: listed and there.
func (t *transfer) tables(ctx context.Context) ([]*table, error) {
	listed, err := t.source.tables(ctx, t.config)
	if err != nil {
		return nil, err
	}
	tables := listed[:0]
	for _, table := range listed {
		if table.strategy != Detect {
			tables = append(tables, table)
		} else if err := t.fitter.missing(table); err != nil {
			return nil, err
		}
	}
	t.fitter.report.Tables = len(tables)
	return tables, nil
}

// rows stores the events of all tables.
func (t *transfer) rows(ctx context.Context, tables []*table) error {
	m, err := newMerge(ctx, t.source, tables)
	if err != nil {
		return err
	}
	for {
		table, row, err := m.next(ctx)
		if err != nil {
			return err
		}
		if table == nil {
			return t.flush(ctx)
		}
		event, fits, err := t.fitter.fit(table, &row)
		if err != nil {
			return err
		}
		t.at, _ = row.time()
		if !fits {
			continue
		}
		t.batch = append(t.batch, event)
		t.bytes += len(row.payload) + len(row.metadata)
		if len(t.batch) == batchEvents || t.bytes >= batchBytes {
			if err := t.flush(ctx); err != nil {
				return err
			}
		}
	}
}

// flush stores what is collected.
func (t *transfer) flush(ctx context.Context) error {
	if len(t.batch) > 0 {
		if err := t.target.store(ctx, t.batch); err != nil {
			return fmt.Errorf("import from prooph: %w", err)
		}
	}
	report := t.fitter.report
	report.Stored += int64(len(t.batch))
	clear(t.batch)
	t.batch, t.bytes = t.batch[:0], 0
	if t.config.Progress != nil {
		t.config.Progress(Progress{Read: report.Rows, Total: t.total, Stored: report.Stored, At: t.at})
	}
	return nil
}

// describe gives a stream its metadata, when a table is one stream. The metadata of a
// table that is split belongs to none of its streams.
func (t *transfer) describe(ctx context.Context, table *table) error {
	if t.fitter.splits(table) {
		return nil
	}
	stream := t.fitter.stream(table, nil)
	l := t.fitter.lines[stream]
	bare := table.after == beforeAll
	if bare && l != nil || !bare && (l == nil || l.head == 0 || l.table != table.number) {
		return nil // another table is the stream, or all rows were left out
	}
	metadata, fits, err := t.fitter.metadata(table)
	if err != nil || !fits {
		return err
	}
	if bare {
		t.fitter.report.Streams++
	}
	if err := t.target.describe(ctx, stream, metadata, bare); err != nil {
		return fmt.Errorf("import the stream %s from prooph: %w", stream, err)
	}
	return nil
}
