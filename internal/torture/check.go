package torture

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
)

// row is an event as it stands in the tables.
type row struct {
	position int64
	stream   persistence.StreamID
	version  int64
	id       persistence.EventID
	tag      tag
	tagged   bool
}

// check compares the tables with what writers were told and readers were given.
// Nobody may write any more.
func check(ctx context.Context, url string, ledger *ledger, readers []*reader, report *Report) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	rows, err := readRows(ctx, conn)
	if err != nil {
		return fmt.Errorf("read the events: %w", err)
	}
	notes, err := readNotes(ctx, conn)
	if err != nil {
		return fmt.Errorf("read the notes: %w", err)
	}
	if report.Calls, err = readCalls(ctx, conn); err != nil {
		return fmt.Errorf("read the calls: %w", err)
	}
	for _, wrong := range ledger.wrong {
		report.found(wrong.fault, "%s", wrong.text)
	}
	report.Rows = len(rows)
	report.sequence(rows)
	report.appends(ledger.all(), rows, notes)
	for _, reader := range readers {
		reader.mu.Lock()
		report.reader(reader, rows)
		reader.mu.Unlock()
	}
	return nil
}

func readRows(ctx context.Context, conn *pgx.Conn) ([]row, error) {
	// The left join shows an event whose stream is missing.
	found, err := conn.Query(ctx, `SELECT e.position, coalesce(s.name, ''), e.version, e.event_id, e.payload
		FROM stele.event e LEFT JOIN stele.stream s USING (stream_id) WHERE e.part = 0 ORDER BY e.position`)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(found, func(r pgx.CollectableRow) (row, error) {
		var e row
		var payload []byte
		err := r.Scan(&e.position, &e.stream, &e.version, (*[16]byte)(&e.id), &payload)
		e.tag, e.tagged = parseTag(payload)
		return e, err
	})
}

// noteTable holds the rows that callers commit beside events.
const noteTable = `CREATE SCHEMA torture; CREATE TABLE torture.note (id bigint PRIMARY KEY)`

func readNotes(ctx context.Context, conn *pgx.Conn) (map[int64]bool, error) {
	found, err := conn.Query(ctx, "SELECT id FROM torture.note")
	if err != nil {
		return nil, err
	}
	ids, err := pgx.CollectRows(found, pgx.RowTo[int64])
	notes := make(map[int64]bool, len(ids))
	for _, id := range ids {
		notes[id] = true
	}
	return notes, err
}

func readCalls(ctx context.Context, conn *pgx.Conn) (map[string]int, error) {
	found, err := conn.Query(ctx, "SELECT funcname, calls FROM pg_stat_user_functions WHERE schemaname = 'stele' AND calls > 0")
	if err != nil {
		return nil, err
	}
	calls := map[string]int{}
	var name string
	var n int
	_, err = pgx.ForEachRow(found, []any{&name, &n}, func() error { calls[name] += n; return nil })
	return calls, err
}

// sequence checks that nothing is missing or twice, whoever wrote it.
func (r *Report) sequence(rows []row) {
	last := int64(0)
	versions := map[persistence.StreamID]int64{}
	seen := make(map[tag]int64, len(rows))
	for i := range rows {
		e := &rows[i]
		if e.position != last+1 {
			r.found(Hole, "position %d follows %d", e.position, last)
		}
		last = e.position
		if e.version != versions[e.stream]+1 {
			r.found(VersionHole, "version %d of %s follows %d, at position %d", e.version, e.stream, versions[e.stream], e.position)
		}
		versions[e.stream] = e.version
		if before, twice := seen[e.tag]; twice && e.tagged {
			r.found(Doubled, "event %d of attempt %d stands at positions %d and %d", e.tag.index, e.tag.attempt, before, e.position)
		}
		seen[e.tag] = e.position
	}
}

// appends checks each attempt against the rows that carry its number.
func (r *Report) appends(attempts []*attempt, rows []row, notes map[int64]bool) {
	of, ids := r.byAttempt(len(attempts), rows)
	there := func(a *attempt) bool { return len(of[a.number]) > 0 }
	for _, a := range attempts {
		r.count(a)
		r.place(a, of[a.number])
		r.truth(a, there(a))
		if a.told == unknown {
			r.decide(a, ids, there(a))
		}
		if a.after != nil && there(a) && !there(a.after) {
			r.found(Unfounded, "attempt %d on %s was decided on attempt %d, which is not there", a.number, a.stream, a.after.number)
		}
	}
	r.transactions(attempts, there, notes)
}

// byAttempt returns the rows of each attempt, of which there are count, and all by their
// ids.
func (r *Report) byAttempt(count int, rows []row) (of map[uint64][]*row, ids map[persistence.EventID]*row) {
	of, ids = make(map[uint64][]*row, count), make(map[persistence.EventID]*row, len(rows))
	for i := range rows {
		e := &rows[i]
		ids[e.id] = e
		if !e.tagged || e.tag.attempt == 0 || e.tag.attempt > uint64(count) || e.tag.index >= e.tag.count {
			r.found(Unexplained, "at position %d in %s", e.position, e.stream)
			continue
		}
		if own := of[e.tag.attempt]; len(own) == 0 || own[len(own)-1].tag != e.tag {
			of[e.tag.attempt] = append(own, e)
		}
	}
	return of, ids
}

// transactions checks that all appends of a transaction are there, and the caller's row, or
// none.
func (r *Report) transactions(attempts []*attempt, there func(*attempt) bool, notes map[int64]bool) {
	groups := map[int64][]*attempt{}
	for _, a := range attempts {
		if a.group > 0 {
			groups[a.group] = append(groups[a.group], a)
		}
	}
	for group, joined := range groups {
		whole := there(joined[0])
		torn := slices.ContainsFunc(joined, func(a *attempt) bool { return there(a) != whole })
		if torn || joined[0].note && notes[group] != whole {
			r.found(Torn, "transaction %d from attempt %d on: first append there %t, others differ %t, the caller's row there %t", group, joined[0].number, whole, torn, notes[group])
		}
	}
}

func (r *Report) count(a *attempt) {
	r.Attempts++
	switch a.told {
	case stored:
		r.Acknowledged++
	case refused:
		r.Refused++
		if a.kind == persistence.ErrConflict {
			r.Conflicts++
		}
	case unknown:
		r.Unknown++
	case nothing:
	}
}

// place checks where the events of an attempt stand.
func (r *Report) place(a *attempt, own []*row) {
	if len(own) == 0 {
		return
	}
	if len(own) != a.events {
		r.found(Torn, "attempt %d on %s has %d of %d events", a.number, a.stream, len(own), a.events)
		return
	}
	first := own[0]
	for i, e := range own {
		if !e.follows(first, i) || e.stream != a.stream || int(e.tag.count) != a.events {
			r.found(Misplaced, "event %d of attempt %d on %s is number %d, in %s at version %d, position %d", i, a.number, a.stream, e.tag.index, e.stream, e.version, e.position)
			return
		}
		if a.ids != nil && e.id != a.ids[i] {
			r.found(Misplaced, "event %d of attempt %d on %s has another id than was chosen", i, a.number, a.stream)
		}
	}
	if version, exact := a.expected.Version(); exact && first.version != int64(version)+1 {
		r.found(Misplaced, "attempt %d on %s expected %s and stands at version %d", a.number, a.stream, a.expected, first.version)
	}
	if a.told == stored && (first.version != int64(a.first) || first.position != a.offset) {
		r.found(Misplaced, "attempt %d on %s was told version %d, position %d and stands at version %d, position %d", a.number, a.stream, a.first, a.offset, first.version, first.position)
	}
}

// follows reports whether the row is the event with an index of an append that begins with
// first.
func (e *row) follows(first *row, index int) bool {
	return int(e.tag.index) == index && e.version == first.version+int64(index) && e.position == first.position+int64(index)
}

// truth checks that an attempt is there as its writer was told.
func (r *Report) truth(a *attempt, there bool) {
	switch {
	case a.told == stored && !there:
		r.found(Lost, "attempt %d on %s, version %d, position %d", a.number, a.stream, a.first, a.offset)
	case a.told == refused && there:
		r.found(Stored, "attempt %d on %s was answered with %q", a.number, a.stream, a.kind)
	}
}

// decide checks that the ids of an unknown outcome tell what became of it. Of
// a transaction it is enough that all is there or nothing.
func (r *Report) decide(a *attempt, ids map[persistence.EventID]*row, there bool) {
	if a.group > 0 {
		return
	}
	told := a.unknown
	if told == nil {
		told = a.ids
	}
	found := 0
	for i, id := range told {
		if e := ids[id]; e != nil && e.stream == a.stream && e.tag.attempt == a.number && int(e.tag.index) == i {
			found++
		}
	}
	if len(told) != a.events || there && found != a.events || !there && found > 0 {
		r.found(Undecided, "attempt %d on %s has %d events, %d ids that are to tell, and %d of them are found; there %t", a.number, a.stream, a.events, len(told), found, there)
	}
}

// reader checks what a reader was given from where it began to where it came.
func (r *Report) reader(reader *reader, rows []row) {
	r.Readers++
	r.Deliveries += len(reader.got)
	r.Returns += reader.returns
	for _, wrong := range reader.wrong {
		r.found(wrong.fault, "%s: %s", reader.name, wrong.text)
	}
	seen := make(map[int64]bool, len(reader.got))
	last := int64(0)
	for i := range reader.got {
		got := &reader.got[i]
		e := rowAt(rows, got.position)
		switch {
		case seen[got.position]:
			r.found(Repeated, "%s was given position %d again", reader.name, got.position)
		case got.position < last:
			r.found(Reordered, "%s was given position %d after %d", reader.name, got.position, last)
		case !got.stands(e):
			r.found(Undone, "%s was given event %d of attempt %d at position %d, which is not what stands there", reader.name, got.tag.index, got.tag.attempt, got.position)
		case !reader.wants(e) || got.position <= reader.from:
			r.found(Unwanted, "%s was given position %d of %s", reader.name, got.position, got.stream)
		}
		seen[got.position] = true
		last = max(last, got.position)
	}
	for i := range rows {
		e := &rows[i]
		if e.position > reader.from && e.position <= reader.at.Load() && reader.wants(e) && !seen[e.position] {
			r.found(Skipped, "%s has passed position %d of %s, attempt %d, and was not given it", reader.name, e.position, e.stream, e.tag.attempt)
		}
	}
}

// rowAt returns the row at a position, or nil. Rows are in the order of their positions.
func rowAt(rows []row, position int64) *row {
	i, found := slices.BinarySearchFunc(rows, position, func(e row, position int64) int { return int(e.position - position) })
	if !found {
		return nil
	}
	return &rows[i]
}

func sortedKeys(calls map[string]int) []string { return slices.Sorted(maps.Keys(calls)) }
