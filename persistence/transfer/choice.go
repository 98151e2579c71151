package transfer

import (
	"slices"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
)

// Choice says which streams are meant: those that are listed and those of the
// categories. The zero Choice means all, those of the system included.
type Choice struct {
	Streams    []persistence.StreamID // by their names
	Categories []string               // of which all streams are meant
}

func (c *Choice) all() bool { return len(c.Streams) == 0 && len(c.Categories) == 0 }

func (c *Choice) check() error {
	for _, stream := range c.Streams {
		if err := stream.CheckName(); err != nil {
			return err
		}
	}
	for _, category := range c.Categories {
		if err := persistence.CheckCategory(category); err != nil {
			return err
		}
	}
	return nil
}

func (c *Choice) has(stream persistence.StreamID) bool {
	return c.all() || slices.Contains(c.Streams, stream) || slices.Contains(c.Categories, stream.Category())
}

// hasOf reports that streams of a category may be chosen.
func (c *Choice) hasOf(category string) bool {
	return c.all() || slices.Contains(c.Categories, category) ||
		slices.ContainsFunc(c.Streams, func(stream persistence.StreamID) bool { return stream.Category() == category })
}

// filter is nil when everything is chosen.
func (c *Choice) filter() persistence.Filter {
	var chosen filter.Filter
	switch {
	case c.all():
		return nil
	case len(c.Categories) == 0:
		chosen = filter.Stream().In(c.Streams...)
	case len(c.Streams) == 0:
		chosen = filter.Category().In(c.Categories...)
	default:
		chosen = filter.Stream().In(c.Streams...).Or(filter.Category().In(c.Categories...))
	}
	if chosen.Check() != nil { // too many for a filter that journals look into
		return byName{c}
	}
	return chosen
}

// byName asks the choice about every event.
type byName struct{ *Choice }

// Match fulfils [persistence.Filter].
func (b byName) Match(recorded *persistence.Recorded) bool { return b.has(recorded.Stream) }

// Check fulfils [persistence.Filter].
func (b byName) Check() error { return b.check() }

// both chooses the events that two filters choose, of which the first may be nil.
func both(first, second persistence.Filter) persistence.Filter {
	switch {
	case first == nil:
		return second
	case second == nil:
		return first
	}
	return conjunction{first, second}
}

type conjunction struct{ first, second persistence.Filter }

// Match fulfils [persistence.Filter].
func (c conjunction) Match(recorded *persistence.Recorded) bool {
	return c.first.Match(recorded) && c.second.Match(recorded)
}

// Check fulfils [persistence.Filter].
func (c conjunction) Check() error {
	if err := c.first.Check(); err != nil {
		return err
	}
	return c.second.Check()
}
