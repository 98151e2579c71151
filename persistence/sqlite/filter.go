package sqlite

import (
	"database/sql/driver"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// prefilter is what SQLite can tell of a filter, cheaper than making an event of
// a row. It may let through too much: the filter decides. The text it adds to a
// query is made of this package's own words; whatever comes from the filter is
// bound.
type prefilter struct {
	filter persistence.Filter // nil chooses all
	needs  filter.Necessary

	and  strings.Builder // conditions for {and}
	args []driver.Value
}

// Sets longer than these are left to the filter: of operands because SQLite binds a
// bounded number of them, of tags because each is merged.
const (
	maxOperands = 100
	maxTags     = 8
)

func newPrefilter(f persistence.Filter) *prefilter {
	p := &prefilter{filter: f}
	if able, ok := f.(interface{ Necessary() filter.Necessary }); ok {
		p.needs = able.Necessary()
	}
	for _, set := range [...]struct {
		column string
		values []driver.Value
	}{
		{"e.type", values(p.needs.Types, func(s string) driver.Value { return s })},
		{"e.event_id", values(p.needs.IDs, func(id persistence.EventID) driver.Value { return id[:] })},
	} {
		p.oneOf(set.column, "", set.values)
	}
	p.between("e.created_at", values(ends(p.needs.Times), func(at *time.Time) driver.Value { return micros(at) }))
	return p
}

// ofSequence adds what says something about the whole sequence only.
func (p *prefilter) ofSequence() *prefilter {
	p.oneOf("s.category", "", values(p.needs.Categories, func(s string) driver.Value { return s }))
	p.oneOf("e.stream_id", "SELECT n.stream_id FROM main.stream n WHERE n.name", values(p.needs.Streams, func(s persistence.StreamID) driver.Value { return string(s) }))
	p.between("e.version", values(ends(p.needs.Versions), func(v *persistence.Version) driver.Value { return number(v) }))
	return p
}

// ofStream adds what says something about one stream only.
func (p *prefilter) ofStream() *prefilter {
	if p.needs.Tags != nil {
		p.and.WriteString(" AND e.tags IS NOT NULL")
	}
	p.between("e.position", values(ends(p.needs.Offsets), func(o *int64) driver.Value { return number(o) }))
	return p
}

// excludes reports that no event of a stream can be chosen.
func (p *prefilter) excludes(stream persistence.StreamID) bool {
	return p.needs.Nothing ||
		p.needs.Streams != nil && !slices.Contains(p.needs.Streams, stream) ||
		p.needs.Categories != nil && !slices.Contains(p.needs.Categories, stream.Category())
}

// oneOf demands a value of a set; nil is no demand. The plus keeps SQLite from
// looking the set up by an index: what it would find is not in the order asked for.
func (p *prefilter) oneOf(column, within string, set []driver.Value) {
	if set == nil || len(set) > maxOperands {
		return
	}
	p.and.WriteString(" AND +" + column + " IN (")
	marks := strings.Repeat("?, ", len(set)-1) + "?"
	if within != "" {
		marks = within + " IN (" + marks + ")"
	}
	p.and.WriteString(marks + ")")
	p.args = append(p.args, set...)
}

// between demands a value between two ends, each of which may be open.
func (p *prefilter) between(column string, ends []driver.Value) {
	for i, operator := range [...]string{" >= ?", " <= ?"} {
		if ends[i] != nil {
			p.and.WriteString(" AND +" + column + operator)
			p.args = append(p.args, ends[i])
		}
	}
}

// tags is the smallest set of which an event must have a tag, if it is worth to be
// looked up. Backward SQLite cannot merge without sorting.
func (p *prefilter) tags(backward bool) []string {
	var best []string
	for _, set := range p.needs.Tags {
		if best == nil || len(set) < len(best) {
			best = set
		}
	}
	if len(best) > maxTags || backward && len(best) > 1 {
		return nil
	}
	return best
}

// offsets are the positions that can be chosen.
func (p *prefilter) offsets() (least, most int64) {
	least, most = 1, math.MaxInt64
	if p.needs.Offsets.Min != nil {
		least = max(least, *p.needs.Offsets.Min)
	}
	if p.needs.Offsets.Max != nil {
		most = *p.needs.Offsets.Max
	}
	if p.needs.Nothing {
		most = 0
	}
	return least, most
}

// plain reports that there is nothing to add, so that the rows have no gap.
func (p *prefilter) plain() bool { return p.and.Len() == 0 }

// chooses decides. The filter gets a copy, because what is shown to an interface
// has to lie on the heap, and most reads have no filter.
func (p *prefilter) chooses(recorded *persistence.Recorded) bool {
	if p.filter == nil {
		return true
	}
	stored := *recorded
	return p.filter.Match(&stored)
}

// whole is a query to which no filter adds anything, filled one with what p adds.
func whole(name string) string { return strings.ReplaceAll(query(name), "{and}", "") }

func (p *prefilter) filled(name string) string {
	return strings.ReplaceAll(query(name), "{and}", p.and.String())
}

func ends[T any](r filter.Range[T]) []*T { return []*T{r.Min, r.Max} }

// values is nil for nil.
func values[T any](all []T, bind func(T) driver.Value) []driver.Value {
	if all == nil {
		return nil
	}
	bound := make([]driver.Value, len(all))
	for i := range all {
		bound[i] = bind(all[i])
	}
	return bound
}

func micros(at *time.Time) driver.Value {
	if at == nil {
		return nil
	}
	return at.UnixMicro()
}

// number is cut at the greatest that SQLite has.
func number[T int64 | persistence.Version](n *T) driver.Value {
	if n == nil {
		return nil
	}
	return int64(min(uint64(max(*n, 0)), math.MaxInt64))
}

// versions are those that can be chosen.
func (p *prefilter) versions() (least, most persistence.Version) {
	least, most = 1, persistence.MaxVersion
	if p.needs.Versions.Min != nil {
		least = max(least, *p.needs.Versions.Min)
	}
	if p.needs.Versions.Max != nil {
		most = *p.needs.Versions.Max
	}
	return least, most
}

// filledTagged is the query for events that have one of so many tags.
func (p *prefilter) filledTagged(tags int, backward bool) string {
	name := "read_tagged"
	if backward {
		name = "read_tagged_backward"
	}
	one := query("tagged")
	return strings.ReplaceAll(p.filled(name), "{tagged}", one+strings.Repeat("\nUNION\n"+one, tags-1))
}
