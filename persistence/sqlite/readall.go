package sqlite

import (
	"context"
	"database/sql/driver"
	"iter"

	"github.com/stele-es/stele/persistence"
)

// ReadAll fulfils [persistence.Reader].
func (j *Journal) ReadAll(ctx context.Context, options persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		options, err := options.Normal()
		if err != nil {
			yield(persistence.Page{}, err)
			return
		}
		prefilter := newPrefilter(options.Filter).ofSequence()
		for {
			s := sequence{options: options, prefilter: prefilter, reached: j.head.Offset()}
			err := j.reading(ctx, func(r *reader) error {
				return r.view(func() error { return s.read(r) })
			})
			if err != nil {
				yield(persistence.Page{}, err)
				return
			}
			page := persistence.Page{Events: s.events, Next: options.After.With(persistence.Position{Offset: s.at}), AtHead: s.atHead}
			if !yield(page, nil) || s.atHead {
				return
			}
			options.After = options.After.With(persistence.Position{Offset: s.at})
		}
	}
}

// sequence is a page of the global sequence in the making.
type sequence struct {
	options   persistence.ReadAllOptions
	prefilter *prefilter
	reached   int64 // where the journal had come to before

	at     int64 // the last position that the page covers
	bytes  int
	full   bool
	events []persistence.Recorded
	atHead bool
}

// read fills the page. The reader sees one moment meanwhile.
func (s *sequence) read(r *reader) error {
	head, err := r.lastBehind(s.reached)
	if err != nil {
		return err
	}
	low, high, tags := s.window(head)
	if low <= high {
		err = s.readPart(r, low, high, tags)
	}
	if s.options.Backward {
		s.atHead = s.at <= 1
	} else {
		s.atHead = s.at >= head
	}
	return err
}

// window is the part of the sequence to look at, behind which the page ends unless
// it is full before. What cannot be chosen is jumped over; what an index finds need
// not be bounded.
func (s *sequence) window(head int64) (low, high int64, tags []string) {
	least, most := s.prefilter.offsets()
	if !s.options.Whole {
		tags = s.prefilter.tags(s.options.Backward)
	}
	scan := int64(s.options.Scan())
	if tags != nil {
		scan = head
	}
	s.at = s.options.After.Of(0).Offset
	if s.options.Backward {
		if len(s.options.After) == 0 || s.at > head {
			s.at = head + 1
		}
		high = min(s.at-1, most)
		low = max(high-scan+1, least)
		switch {
		case s.at <= 1: // at the beginning, or before it
		case low == least || high < least:
			s.at = 1 // there is nothing before
		default:
			s.at = low
		}
		return low, high, tags
	}
	low = max(min(s.at, head)+1, least)
	high = min(head, most)
	if high-low >= scan {
		high = low + scan - 1
		s.at = high
	} else {
		s.at = max(s.at, head) // there is nothing behind
	}
	return low, high, tags
}

func (s *sequence) readPart(r *reader, low, high int64, tags []string) error {
	want, end, step := low, high, int64(1)
	if s.options.Backward {
		want, end, step = high, low, -1
	}
	gapless := tags == nil && s.prefilter.plain()
	var broken error
	err := r.sequence(s, tags, low, high, func(row []driver.Value) bool {
		name, _ := row[len(row)-1].(string)
		recorded, size, err := decode(row, persistence.StreamID(name))
		if err == nil && (name == "" || gapless && recorded.Position.Offset != want) {
			err = &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "the position before it is missing"}
		}
		if err != nil {
			broken = err
			return false
		}
		if s.options.Whole {
			recorded.Named = row[len(row)-2] == int64(1)
		}
		want = recorded.Position.Offset + step
		return s.take(recorded, size)
	})
	switch {
	case err != nil:
		return err
	case broken != nil:
		return broken
	case gapless && !s.full && want != end+step:
		return &persistence.CorruptError{Reason: "the events at the end of a page are missing"}
	}
	return nil
}

// take puts an event into the page if it belongs there and has room, and reports
// whether to go on.
func (s *sequence) take(recorded persistence.Recorded, size int) bool {
	hidden := recorded.Stream[0] == '$' && !s.options.System || recorded.Type == persistence.TypeGone && !s.options.Whole
	if hidden || !s.prefilter.chooses(&recorded) {
		return true
	}
	place := recorded.Position.Offset
	if s.bytes += size; s.bytes > s.options.PageBytes && len(s.events) > 0 {
		s.full = true // before it
		if s.at = place - 1; s.options.Backward {
			s.at = place + 1
		}
		return false
	}
	s.events = append(s.events, recorded)
	if len(s.events) == s.options.PageRows {
		s.full, s.at = true, place
	}
	return !s.full
}

// sequence calls fn with the rows of a part of the sequence.
func (r *reader) sequence(s *sequence, tags []string, low, high int64, fn func([]driver.Value) bool) error {
	p, name, query := s.prefilter, "read_all", r.readAll
	switch {
	case tags != nil:
		return r.tagged(p, tags, s.options.Backward, low, high, fn)
	case s.options.Whole:
		name, query = "read_whole", r.readWhole
	case s.options.Backward:
		name, query = "read_all_backward", r.readAllBackward
	}
	args := []driver.Value{low, high}
	if p.plain() {
		return query.each(args, fn)
	}
	return r.eachOf(p.filled(name), append(args, p.args...), fn)
}

// tagged looks the events up by their tags.
func (r *reader) tagged(p *prefilter, tags []string, backward bool, low, high int64, fn func([]driver.Value) bool) error {
	var args []driver.Value
	for _, tag := range tags {
		args = append(args, tag, low, high)
	}
	return r.eachOf(p.filledTagged(len(tags), backward), append(args, p.args...), fn)
}
