package postgres

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/eventrows"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// ReadAll fulfils [persistence.Reader]. It holds no connection while it yields.
func (j *Journal) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		options.After = slices.Clone(options.After)
		for {
			page, err := j.pageAfter(ctx, options)
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			// The reader may change the positions of its page.
			options.After = slices.Clone(page.Next)
			if atHead := page.AtHead; !yield(page, nil) || atHead {
				return
			}
		}
	}
}

func (j *Journal) pageAfter(ctx context.Context, options persistence.ReadAllOptions) (persistence.Page, error) {
	if ctx.Err() != nil {
		return persistence.Page{}, journalkit.CallerLeft(ctx)
	}
	s := &scan{journal: j, options: options, last: options.After.Of(partition).Offset}
	if options.Backward && len(options.After) == 0 {
		s.last, s.anywhere = math.MaxInt64, true
	}
	if options.Filter != nil && !options.Whole {
		c := newConditions(options.Filter)
		if s.conditions = c.ofAll(); c.lookup != nil {
			s.conditions, s.tagged = append(s.conditions, c.lookup), true
		}
		if err := s.skip(ctx, c.least, c.most); err != nil {
			return persistence.Page{}, err
		}
		key := c.hash()
		s.matches = j.densities.of(key)
		defer func() { j.densities.note(key, s.matches) }()
	}
	if err := s.fillPage(ctx); err != nil {
		return persistence.Page{}, readError(ctx, err)
	}
	if s.anywhere && s.seen == 0 && !s.tagged { // backward through an empty journal: the next page has nothing either
		s.last = 0
	}
	if !options.Backward && s.seen > 0 { // a position that comes from the reader alone is no head
		j.head.Raise(s.last)
	}
	next := options.After.With(persistence.Position{Part: partition, Offset: s.last})
	return persistence.Page{Events: s.page, Next: next, AtHead: s.ended}, nil
}

// scan goes through a partition until a page is full.
type scan struct {
	journal    *Journal
	options    persistence.ReadAllOptions
	conditions [][]byte // those of the filter, if there is one
	tagged     bool     // events are looked up by their tags
	matches    density  // of the chunk before, also on another page
	head       int64    // the last position at the time of that look-up

	page  []persistence.Recorded
	bytes int   // of the page
	seen  int   // how many events were read, on the page or not
	last  int64 // the position of the last of them
	// anywhere says that the next event need not stand beside last.
	anywhere bool
	// ended says that nothing lay beyond last. full says that the page takes no more.
	ended, full bool
}

// all reports that the server sends all events, and the filter is evaluated here.
func (s *scan) all() bool { return s.conditions == nil || !s.tagged && s.matches.all }

// skip moves over the positions before least or after most, at which no event can match.
// Forward it asks for the head and stops there, because later events have to be seen.
func (s *scan) skip(ctx context.Context, least, most int64) error {
	if s.options.Backward {
		if s.last <= least || most < least { // no event before can match
			s.last, s.ended = min(s.last, 1), true
		} else if most < math.MaxInt64 {
			s.last = min(s.last, most+1)
		}
		return nil
	}
	to := least - 1
	if s.last >= most {
		to = math.MaxInt64
	}
	if to <= s.last {
		return nil
	}
	head, err := s.journal.Head(ctx)
	s.last = max(s.last, min(to, head.Of(partition).Offset))
	return err
}

// fillPage reads until the page is full. It asks for more rows each time, because a filter
// that has matched few events will match few of the next ones.
func (s *scan) fillPage(ctx context.Context) error {
	for limit := s.options.PageRows; !s.ended && !s.full; limit = min(2*limit, s.options.Scan()) {
		wanted := min(limit, s.options.Scan()-s.seen, s.journal.rowSizes.Rows(s.options.PageBytes-s.bytes))
		if s.options.Filter == nil && s.options.System {
			wanted = min(wanted, s.options.PageRows-len(s.page))
		}
		if s.matches.decide(); s.conditions != nil && s.all() {
			wanted = min(wanted, s.matches.rows(s.options.PageRows-len(s.page)))
		}
		r, more, err := s.chunk(ctx, wanted)
		if err != nil {
			return err
		}
		s.ended = !more
		s.addToPage(r)
		s.full = s.full || len(s.page) == s.options.PageRows || s.seen >= s.options.Scan()
	}
	switch {
	case !s.tagged || !s.ended:
	case s.options.Backward:
		s.last = min(s.last, 1) // nothing lies before it
	default:
		s.last = max(s.last, s.head)
	}
	return nil
}

// chunk reads events behind the last one, with the names of their streams. It reports
// whether there are more.
func (s *scan) chunk(ctx context.Context, wanted int) (r *eventrows.Rows, more bool, err error) {
	// There cannot be a gap. After one the events are read again, to be sure that it is
	// stored so.
	for range 2 {
		err = s.journal.withConn(ctx, func(conn *pgx.Conn) error {
			if r, more, err = s.query(ctx, conn, wanted); err != nil {
				return err
			}
			names, err := s.journal.namesOf(ctx, conn, r.Numbers)
			if err != nil {
				return err
			}
			for i := range r.Events {
				r.Events[i].Stream = names[i]
			}
			return nil
		})
		if err != nil && !s.journal.outdated(err) {
			return nil, false, err
		}
		if err != nil {
			continue
		}
		if err = s.checkGapless(r); err == nil {
			break
		}
	}
	if err != nil {
		return nil, false, err
	}
	s.journal.rowSizes.Add(r)
	s.journal.tail.wasRead(r.Events)
	return r, more, nil
}

func (s *scan) query(ctx context.Context, conn *pgx.Conn, wanted int) (r *eventrows.Rows, more bool, err error) {
	r = eventrows.New(s.capacity(wanted))
	// One row more than is wanted shows whether the end is reached.
	parameters := [][]byte{wire.Int2(partition), wire.Int8(s.last), wire.Int8(int64(wanted) + 1)}
	if !s.all() {
		parameters = append(parameters, s.conditions...)
	}
	parameters = append(parameters, s.journal.proof(s.journal.streams.Newest())...)
	err = s.journal.queryOn(ctx, conn, s.statement(), parameters, func(row [][]byte) error {
		if more = more || len(r.Events) == wanted || len(r.Events) > 0 && r.Bytes+eventrows.Size(row) > s.options.PageBytes; more {
			return nil
		}
		if s.tagged {
			var ok bool
			if s.head, ok = wire.ReadInt8(row[len(row)-1]); !ok {
				return wire.ErrUndecodable
			}
			if row = row[:len(row)-1]; row[1] == nil {
				return nil // there is no such event
			}
		}
		return r.Add("", row)
	})
	if err == nil {
		err = s.journal.flushRead(ctx, conn, r.Events)
	}
	if err == nil && s.tagged {
		err = s.journal.flushTo(ctx, conn, s.head)
	}
	return r, more, err
}

// capacity returns for how many events to allocate memory: no more than there are as far as
// this process knows, because most pages at the head have few events.
func (s *scan) capacity(wanted int) int {
	if s.options.Backward || !s.all() {
		return 0
	}
	return int(max(0, min(int64(wanted), s.journal.head.Offset()-s.last)))
}

func (s *scan) statement() wire.Statement {
	sql := &s.journal.sql.reading
	switch {
	case s.options.Whole:
		return sql.readWhole
	case s.all() && !s.options.Backward:
		return sql.readAll
	case s.all():
		return sql.readAllBackward
	case s.tagged && !s.options.Backward:
		return sql.chooseTagged
	case s.tagged:
		return sql.chooseTaggedBackward
	case !s.options.Backward:
		return sql.chooseAll
	}
	return sql.chooseAllBackward
}

// checkGapless checks that no position is missing. None can be, because positions are given
// under a lock. Only a reader that goes backward from beyond the head may begin anywhere, and
// events that were looked up by tags need not be neighbours.
func (s *scan) checkGapless(r *eventrows.Rows) error {
	step := int64(1)
	if s.options.Backward {
		step = -1
	}
	at := s.last
	for i := range r.Events {
		offset := r.Events[i].Position.Offset
		if !s.tagged && offset != at+step && !(i == 0 && s.seen == 0 && s.options.Backward && (s.anywhere || offset < at)) {
			return &persistence.CorruptError{Reason: fmt.Sprintf("no event at position %d", at+step)}
		}
		if at = offset; r.Events[i].Stream == "" {
			return &persistence.CorruptError{Version: r.Events[i].Version, Reason: fmt.Sprintf("the event at position %d has no stream", at)}
		}
	}
	return nil
}

// addToPage goes through events and puts those that the reader gets on the page, until the
// page is full.
func (s *scan) addToPage(r *eventrows.Rows) {
	if s.page == nil && s.all() {
		s.page = r.Events[:0] // most events stay where they are
	}
	s.matches.read, s.matches.matched = 0, 0
	for i := range r.Events {
		e := &r.Events[i]
		if s.visible(e) {
			size := r.Sizes[i]
			if s.full = len(s.page) == s.options.PageRows || len(s.page) > 0 && s.bytes+size > s.options.PageBytes; s.full {
				s.ended = false
				return
			}
			s.bytes += size
			s.page = append(s.page, *e)
			s.matches.matched++
		}
		s.matches.read++
		s.seen++
		s.last = e.Position.Offset
	}
}

// visible reports whether the reader gets an event. An event that the server has left out
// has no type.
func (s *scan) visible(e *persistence.Recorded) bool {
	if e.Type == "" || e.Type == persistence.TypeGone && !s.options.Whole || !s.options.System && strings.HasPrefix(string(e.Stream), "$") {
		return false
	}
	return s.options.Filter == nil || s.options.Filter.Match(e)
}
