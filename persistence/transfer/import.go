package transfer

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
)

// ImportOptions say how a file is imported.
type ImportOptions struct {
	// Progress is told now and then how far the import has come. It must not keep the
	// import waiting.
	Progress func(Summary)
}

// MaxLine is the most bytes that a line of a file may have: room for an event of
// the greatest size in any form.
const MaxLine = 8 << 20

// Import stores what a file holds in a journal, which must be a
// [persistence.Importer]. The format is recognised. What the journal holds already
// is passed over, so an import that has ended early is repeated; into an empty
// journal a file of everything gives the same positions.
//
// A fault of the file is a [*LineError] that wraps what is wrong with which field.
// Nothing of that line is stored, while lines before it may have been. An event that
// does not follow what the journal holds is a [*persistence.ConflictError] inside of
// it: somebody else has written to the stream, or the file begins in its middle.
func Import(ctx context.Context, file io.Reader, journal persistence.Journal, options ImportOptions) (Summary, error) {
	importer, able := persistence.As[persistence.Importer](journal)
	if !able {
		return Summary{}, invalid("journal", "cannot take in what others have stored")
	}
	schemas, err := newTranslation(ctx, journal)
	if err != nil {
		return Summary{}, err
	}
	return scan(file, &reading{sink: newStore(journal, importer, schemas), progress: options.Progress}).run(ctx)
}

// Inspect reads a file as [Import] does and stores nothing. It reads files that
// cannot be imported too. The summary says how far the file is of use: another
// export may go on behind its Bytes after its Next. A file that was cut is no error
// then: it is not Whole.
func Inspect(ctx context.Context, file io.Reader) (Summary, error) {
	return scan(file, &reading{sink: nowhere{}, looking: true}).run(ctx)
}

// sink is where lines that are right go.
type sink interface {
	schema(ctx context.Context, line *schemaLine) error
	event(ctx context.Context, e persistence.Recorded, line int64) error
	stream(ctx context.Context, info persistence.StreamInfo, line int64) error
	// flush stores what was gathered, end also what was put off.
	flush(ctx context.Context) error
	end(ctx context.Context) error
	// restart forgets the numbers of schemas.
	restart()
}

// nowhere stores nothing.
type nowhere struct{}

func (nowhere) schema(context.Context, *schemaLine) error                   { return nil }
func (nowhere) event(context.Context, persistence.Recorded, int64) error    { return nil }
func (nowhere) stream(context.Context, persistence.StreamInfo, int64) error { return nil }
func (nowhere) flush(context.Context) error                                 { return nil }
func (nowhere) end(context.Context) error                                   { return nil }
func (nowhere) restart()                                                    {}

// reading goes through a file.
type reading struct {
	sink     sink
	looking  bool
	progress func(Summary)

	lines   *bufio.Reader
	long    []byte // a line that is longer than the reader's buffer
	summary Summary
	began   bool // there was a header, and not its end
	part    header
	last    persistence.Positions // of the events of this part
	counted ending
	numbers map[int64]bool
	digest  hash.Hash
}

func scan(file io.Reader, r *reading) *reading {
	r.lines = bufio.NewReaderSize(file, 64<<10)
	return r
}

func (r *reading) run(ctx context.Context) (Summary, error) {
	for {
		if ctx.Err() != nil {
			return r.summary, &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
		}
		line, err := r.next()
		switch {
		case len(line) > MaxLine:
			return r.summary, r.fault(&persistence.InvalidError{Field: "line", Reason: "is too long", Size: len(line), Limit: MaxLine})
		case errors.Is(err, io.EOF):
			return r.eof(ctx, len(line) > 0)
		case err != nil:
			return r.summary, err
		}
		if err := r.line(ctx, line); err != nil {
			return r.summary, err
		}
	}
}

// next returns the next line with its end, or what there is of one that is cut or
// too long. It is valid until the next call.
func (r *reading) next() ([]byte, error) {
	line, err := r.lines.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	r.long = append(r.long[:0], line...)
	for errors.Is(err, bufio.ErrBufferFull) && len(r.long) <= MaxLine {
		line, err = r.lines.ReadSlice('\n')
		r.long = append(r.long, line...)
	}
	return r.long, err
}

// fault is the error of the line behind those that were read.
func (r *reading) fault(err error) error {
	if _, placed := errors.AsType[*LineError](err); placed {
		return err
	}
	switch persistence.ErrorKindOf(err) {
	case persistence.ErrInvalid, persistence.ErrConflict, persistence.ErrEventIDReused:
		return &LineError{Line: r.summary.Lines + 1, Err: err}
	}
	return err
}

// eof ends the file. What stands in a file that was cut is stored.
func (r *reading) eof(ctx context.Context, cut bool) (Summary, error) {
	r.summary.Whole = !cut && !r.began && r.summary.Lines > 0
	if r.summary.Whole || r.looking {
		return r.summary, nil
	}
	if err := r.sink.flush(ctx); err != nil {
		return r.summary, r.fault(err)
	}
	return r.summary, r.fault(invalid("end", "is missing: the file was cut"))
}

func (r *reading) line(ctx context.Context, line []byte) error {
	rec, err := decode(line[:len(line)-1])
	if err == nil {
		err = r.take(ctx, &rec, line)
	}
	if err != nil {
		return r.fault(err)
	}
	r.summary.Lines++
	r.summary.Bytes += int64(len(line))
	if r.progress != nil && r.summary.Lines%progressLines == 0 {
		r.progress(r.summary)
	}
	return nil
}

// progressLines is the number of lines that are read between two notes of progress.
const progressLines = 1000

func (r *reading) take(ctx context.Context, rec *record, line []byte) error {
	if rec.header != nil {
		return r.header(ctx, rec.header)
	}
	if !r.began {
		return invalid("header", "is missing")
	}
	if rec.end != nil {
		return r.end(ctx, rec.end)
	}
	r.digest.Write(line)
	number := r.summary.Lines + 1
	switch {
	case rec.schema != nil:
		if r.numbers[rec.schema.number] {
			return invalid("number", "stands twice")
		}
		r.numbers[rec.schema.number] = true
		r.summary.Schemas++
		r.counted.schemas++
		return r.sink.schema(ctx, rec.schema)
	case rec.event != nil:
		return r.event(ctx, rec.event, number)
	}
	r.summary.Streams++
	r.counted.streams++
	return r.sink.stream(ctx, *rec.stream, number)
}

func (r *reading) header(ctx context.Context, h *header) error {
	if !r.looking && (h.today || h.chosen) {
		return invalid("header", "is that of a file which can be read and not imported: its events are upcast, or a filter has left some out")
	}
	if r.began && !(h.archive && r.part.archive) && !(h.journal == r.part.journal && covers(h.after, r.last) && covers(r.last, h.after)) {
		return invalid("after", "is not where the file was cut before")
	}
	if r.began {
		if err := r.sink.flush(ctx); err != nil {
			return err
		}
	}
	r.began, r.part, r.last, r.counted, r.numbers, r.digest = true, *h, h.after, ending{}, map[int64]bool{}, sha256.New()
	r.sink.restart()
	r.summary.Journal, r.summary.Next = h.journal, h.after
	return nil
}

func (r *reading) event(ctx context.Context, e *persistence.Recorded, line int64) error {
	if e.Schema != 0 && !r.numbers[int64(e.Schema)] {
		return invalid("schema", "is not described before")
	}
	if !r.part.archive {
		place := r.last.Of(e.Position.Part).Offset
		if e.Position.Offset < place || e.Position.Offset == place && e.Sub == 0 {
			return invalid("position", "is not behind the one before")
		}
		r.last = r.last.With(e.Position)
		r.summary.Next = r.last
	}
	r.summary.Events++
	r.counted.events++
	return r.sink.event(ctx, *e, line)
}

func (r *reading) end(ctx context.Context, e *ending) error {
	if e.events != r.counted.events || e.streams != r.counted.streams || e.schemas != r.counted.schemas || e.digest != hex.EncodeToString(r.digest.Sum(nil)) {
		return invalid("end", "does not fit the lines before")
	}
	if err := r.sink.end(ctx); err != nil {
		return err
	}
	if !r.part.archive {
		r.summary.Next = e.next
	}
	r.began = false
	return nil
}

// store gathers events and streams and imports them.
type store struct {
	journal  persistence.Journal
	importer persistence.Importer
	schemas  *translation
	noted    map[schema.Stored]bool // what the journal was told of

	events  []persistence.Recorded
	lines   []int64 // of the events
	size    int
	streams []known
	// ahead are streams of which more is known than there are events yet.
	ahead []known
}

func newStore(journal persistence.Journal, importer persistence.Importer, schemas *translation) *store {
	return &store{journal: journal, importer: importer, schemas: schemas, noted: map[schema.Stored]bool{}}
}

// known is the state of a stream according to the file, and the line that says it, 0 for none.
type known struct {
	info persistence.StreamInfo
	line int64
}

// mostAhead bounds what is put off.
const mostAhead = 100_000

func (s *store) restart() { s.schemas.ids = map[int64]persistence.SchemaID{} }

func (s *store) schema(ctx context.Context, line *schemaLine) error {
	if _, ok := schema.ReadEntry(line.encoding, line.body); ok { // behind what is noted of the events before it
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	return s.schemas.learn(ctx, line)
}

func (s *store) event(ctx context.Context, e persistence.Recorded, line int64) error {
	e.Schema = s.schemas.ids[int64(e.Schema)]
	size := (&persistence.Append{Stream: e.Stream, Events: []persistence.Event{e.Event}}).Size()
	if len(s.streams) > 0 || len(s.events) == persistence.MaxAppendEvents || s.size+size > persistence.MaxAppendBytes {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.events, s.lines, s.size = append(s.events, e), append(s.lines, line), s.size+size
	return nil
}

func (s *store) stream(ctx context.Context, info persistence.StreamInfo, line int64) error {
	if len(s.events) > 0 || len(s.streams) == streamsAtOnce {
		if err := s.flush(ctx); err != nil {
			return err
		}
	}
	s.streams = append(s.streams, known{info, line})
	return nil
}

// streamsAtOnce keeps calls below their limit whatever metadata streams have.
const streamsAtOnce = 64

// described are the events whose schemas say something: a note is a schema too, and
// must not take the id of one that says nothing.
func (s *store) described() []persistence.Recorded {
	if len(s.schemas.bare) == 0 {
		return s.events
	}
	return slices.DeleteFunc(slices.Clone(s.events), func(e persistence.Recorded) bool { return s.schemas.bare[e.Schema] })
}

func (s *store) flush(ctx context.Context) error {
	if len(s.events) > 0 {
		if err := schema.NoteEvents(ctx, s.journal, s.described(), s.noted); err != nil {
			return err
		}
		if _, err := s.importer.Import(ctx, s.events); err != nil {
			return s.placed(err)
		}
		s.events, s.lines, s.size = s.events[:0], s.lines[:0], 0
	}
	waiting := s.streams
	s.streams = nil
	return s.states(ctx, waiting)
}

// states imports what is known of streams, and puts off what is ahead.
func (s *store) states(ctx context.Context, all []known) error {
	infos := make([]persistence.StreamInfo, len(all))
	for i := range all {
		infos[i] = all[i].info
	}
	err := s.importer.ImportStreams(ctx, infos)
	if _, conflict := errors.AsType[*persistence.ConflictError](err); !conflict {
		return s.placedState(err, all)
	}
	for i := range all {
		err := s.importer.ImportStreams(ctx, infos[i:i+1])
		if _, conflict := errors.AsType[*persistence.ConflictError](err); !conflict {
			if err != nil {
				return s.placedState(err, all)
			}
			continue
		}
		if len(s.ahead) == mostAhead {
			return &persistence.InvalidError{Field: "streams", Reason: "are ahead of their events, too many of them", Size: mostAhead + 1, Limit: mostAhead}
		}
		s.ahead = append(s.ahead, all[i])
	}
	return nil
}

// end imports what was put off: by now there are the events.
func (s *store) end(ctx context.Context) error {
	if err := s.flush(ctx); err != nil {
		return err
	}
	ahead := s.ahead
	s.ahead = nil
	for i := range ahead {
		if err := s.importer.ImportStreams(ctx, []persistence.StreamInfo{ahead[i].info}); err != nil {
			return s.placedState(err, ahead)
		}
	}
	return nil
}

// placed finds the line of the event that an error is about.
func (s *store) placed(err error) error {
	at := func(is func(e *persistence.Recorded) bool) error {
		for i := range s.events {
			if is(&s.events[i]) && s.lines[i] > 0 {
				return &LineError{Line: s.lines[i], Err: err}
			}
		}
		return err
	}
	if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
		return at(func(e *persistence.Recorded) bool {
			return e.Stream == conflict.Stream && persistence.Exact(e.Version-1) == conflict.Expected
		})
	}
	if reused, ok := errors.AsType[*persistence.EventIDReusedError](err); ok {
		return at(func(e *persistence.Recorded) bool { return e.Stream == reused.Stream && e.ID == reused.ID })
	}
	return err
}

// placedState is placed for streams.
func (s *store) placedState(err error, all []known) error {
	var stream persistence.StreamID
	if conflict, ok := errors.AsType[*persistence.ConflictError](err); ok {
		stream = conflict.Stream
	}
	if revision, ok := errors.AsType[*persistence.RevisionError](err); ok {
		stream = revision.Stream
	}
	for i := range all {
		if stream != "" && all[i].info.Stream == stream && all[i].line > 0 {
			return &LineError{Line: all[i].line, Err: err}
		}
	}
	return err
}
