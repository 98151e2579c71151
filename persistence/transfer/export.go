package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"io"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// ExportOptions say what is exported and how. The zero value is everything, as it
// is stored, in [NDJSON].
type ExportOptions struct {
	// Format is that of the file.
	Format Format
	// Choice says which streams are meant.
	Choice
	// Filter chooses among the events. What it leaves out would be missing, so the
	// file can be read by others and cannot be imported. Nil chooses all.
	Filter persistence.Filter
	// Upcast exports events as they are today. Such a file cannot be imported either.
	// Nil exports them as they are stored.
	Upcast *upcast.Chain
	// After is the last place that was exported before, [Summary.Next]. Nil is the
	// beginning. What is known of streams is exported again as a whole.
	After persistence.Positions
	// Progress is told now and then how far the export has come. It must not keep the
	// export waiting.
	Progress func(Summary)
}

// Export writes what a journal holds to a file, up to where the journal ends when
// it is called or somewhat further. It holds nothing of the journal meanwhile and
// needs memory for a page. Others may write: what is known of a stream then may be
// ahead of its events, but never of the file's end.
//
// After an error the file is of use up to the last line that is whole, see
// [Inspect], and another export can go on behind it.
func Export(ctx context.Context, journal persistence.Journal, file io.Writer, options ExportOptions) (Summary, error) {
	if err := options.check(); err != nil {
		return Summary{}, err
	}
	descriptions, err := describedBy(ctx, journal)
	if err != nil {
		return Summary{}, err
	}
	e := &exporter{
		writer: newWriter(file, options.Format, journal.Identity(), descriptions), journal: journal, options: &options,
		reader: upcast.Reader(journal, options.Upcast),
	}
	e.summary.Next = options.After
	err = e.run(ctx)
	return e.summary, err
}

func (o *ExportOptions) check() error {
	if o.Format > CloudEvents {
		return invalid("format", "is not known")
	}
	if err := o.Choice.check(); err != nil {
		return err
	}
	_, err := persistence.ReadAllOptions{After: o.After, Filter: o.Filter}.Normal()
	return err
}

// stored says that the file can be imported.
func (o *ExportOptions) stored() bool { return o.Filter == nil && o.Upcast == nil }

type exporter struct {
	*writer
	journal persistence.Journal
	reader  persistence.Reader
	options *ExportOptions
}

func (e *exporter) run(ctx context.Context) error {
	e.header(&header{journal: e.journal.Identity(), after: e.options.After, today: e.options.Upcast != nil, chosen: e.options.Filter != nil})
	if err := e.events(ctx); err != nil {
		return err
	}
	if e.options.stored() {
		if err := e.streams(ctx); err != nil {
			return err
		}
		if err := e.entries(ctx); err != nil {
			return err
		}
		// What is known of streams may be about events that came in the meantime.
		if err := e.events(ctx); err != nil {
			return err
		}
	}
	return e.finish()
}

// events writes what lies between the last place and the head as it is now.
func (e *exporter) events(ctx context.Context) error {
	head, err := e.journal.Head(ctx)
	if err != nil {
		return err
	}
	if covers(e.summary.Next, head) {
		return nil
	}
	options := persistence.ReadAllOptions{After: e.summary.Next, System: true, Whole: true, Filter: both(e.options.filter(), e.options.Filter)}
	for page, err := range e.reader.ReadAll(ctx, options) {
		if err != nil {
			return err
		}
		for i := range page.Events {
			if err := e.event(ctx, &page.Events[i]); err != nil {
				return err
			}
		}
		// A line that is whole is of use, so the place goes with the lines.
		if err := e.flush(page.Next); err != nil {
			return err
		}
		if e.options.Progress != nil {
			e.options.Progress(e.summary)
		}
		if page.AtHead || covers(page.Next, head) {
			return nil
		}
	}
	return nil
}

func (e *exporter) streams(ctx context.Context) error {
	for info, err := range e.journal.List(ctx, listed(&e.options.Choice)) {
		if err != nil {
			return err
		}
		if !e.options.has(info.Stream) || unremarkable(&info) {
			continue
		}
		if err := e.stream(&info); err != nil {
			return err
		}
	}
	return e.flush(e.summary.Next)
}

// entries writes what programs have noted and no event tells, each as a schema that names
// others by their numbers in the file. It stands behind the events: so a program that has
// run here answers for all of them where the file is imported.
func (e *exporter) entries(ctx context.Context) error {
	all, err := e.schemas.entries(ctx, &e.options.Choice)
	if err != nil {
		return err
	}
	for i := range all {
		if all[i].Role == schema.Event {
			continue
		}
		body, err := all[i].Body(func(id persistence.SchemaID) (persistence.SchemaID, error) {
			number, _, err := e.schema(ctx, id)
			return persistence.SchemaID(number), err //nolint:gosec // there are not so many
		})
		if err != nil {
			return err
		}
		e.counted.schemas++
		line := schemaLine{number: e.counted.schemas, encoding: persistence.JSON, body: body}
		if err := e.line(func(out []byte) []byte { return e.format.write(out, "schema", e.writer.journal, line.write) }); err != nil {
			return err
		}
	}
	return e.flush(e.summary.Next)
}

// covers reports whether a place lies at or behind another one in each partition.
func covers(place, other persistence.Positions) bool {
	for part, offset := range other {
		if place.Of(uint16(part)).Offset < offset {
			return false
		}
	}
	return true
}

// writer writes the lines of one part of a file.
type writer struct {
	to       io.Writer
	format   Format
	journal  persistence.JournalID
	schemas  *descriptions
	numbers  map[persistence.SchemaID]int64
	digest   hash.Hash
	buffered []byte
	lines    int64
	counted  ending
	summary  Summary
}

// flushAt is the number of bytes that are gathered before they are written.
const flushAt = 256 << 10

func newWriter(to io.Writer, format Format, journal persistence.JournalID, schemas *descriptions) *writer {
	return &writer{
		to: to, format: format, journal: journal, schemas: schemas, numbers: map[persistence.SchemaID]int64{}, digest: sha256.New(),
		summary: Summary{Journal: journal},
	}
}

// header begins the part. Its bytes are not part of the digest: they are what
// differs between two journals that hold the same.
func (w *writer) header(h *header) {
	w.buffered = w.format.write(w.buffered, "header", w.journal, h.write)
	w.lines++
}

// line gathers a line that is part of the digest.
func (w *writer) line(write func(out []byte) []byte) error {
	start := len(w.buffered)
	w.buffered = write(w.buffered)
	w.digest.Write(w.buffered[start:])
	w.lines++
	if len(w.buffered) < flushAt {
		return nil
	}
	return w.flush(w.summary.Next)
}

// flush writes what was gathered. The file is complete up to next then.
func (w *writer) flush(next persistence.Positions) error {
	if len(w.buffered) > 0 {
		if _, err := w.to.Write(w.buffered); err != nil {
			return err
		}
	}
	w.summary.Bytes += int64(len(w.buffered))
	w.summary.Lines = w.lines
	w.summary.Events, w.summary.Streams, w.summary.Schemas = w.counted.events, w.counted.streams, w.counted.schemas
	w.summary.Next = next
	w.buffered = w.buffered[:0]
	return nil
}

// event writes an event, before it the description of its payload when it is the
// first that needs it.
func (w *writer) event(ctx context.Context, e *persistence.Recorded) error {
	number, described, err := w.schema(ctx, e.Schema)
	if err != nil {
		return err
	}
	w.counted.events++
	return w.line(func(out []byte) []byte { return w.format.writeEvent(out, e, number, described) })
}

func (w *writer) schema(ctx context.Context, id persistence.SchemaID) (number int64, encoding persistence.Encoding, err error) {
	if id == 0 {
		return 0, persistence.Raw, nil
	}
	schema, known, err := w.schemas.of(ctx, id)
	if err != nil {
		return 0, persistence.Raw, err
	}
	if number = w.numbers[id]; number != 0 {
		return number, schema.Encoding, nil
	}
	w.counted.schemas++
	number = w.counted.schemas
	w.numbers[id] = number
	line := schemaLine{number: number, id: id}
	if known {
		line = schemaLine{number: number, encoding: schema.Encoding, body: schema.Body}
	}
	return number, schema.Encoding, w.line(func(out []byte) []byte { return w.format.write(out, "schema", w.journal, line.write) })
}

func (w *writer) stream(info *persistence.StreamInfo) error {
	w.counted.streams++
	return w.line(func(out []byte) []byte {
		return w.format.write(out, "stream", w.journal, func(out []byte) []byte { return writeStream(out, info) })
	})
}

// finish ends the part.
func (w *writer) finish() error {
	w.counted.next, w.counted.digest = w.summary.Next, hex.EncodeToString(w.digest.Sum(nil))
	w.buffered = w.format.write(w.buffered, "end", w.journal, w.counted.write)
	w.lines++
	if err := w.flush(w.summary.Next); err != nil {
		return err
	}
	w.summary.Whole = true
	return nil
}
