package sqlite

import (
	"context"
	"database/sql/driver"

	"github.com/stele-es/stele/persistence"
)

// scavengeRows is how many events one transaction empties.
const scavengeRows = 500

// Scavenge fulfils [persistence.Scavenger].
func (j *Journal) Scavenge(ctx context.Context, name persistence.StreamID) (int, error) {
	if err := name.CheckName(); err != nil {
		return 0, err
	}
	emptied := 0
	for from, more := persistence.Version(1), true; more; from += scavengeRows {
		events := 0
		err := j.change(ctx, name, func(w *writer) error {
			at, err := w.stream(name)
			if err != nil {
				return err
			}
			// The end may move while nobody holds the journal.
			to := min(from+scavengeRows, at.first) - 1
			more = to+1 < at.first
			if to < from {
				return nil
			}
			events, err = empty(w, name, at.id, from, to)
			return err
		})
		if err != nil {
			return emptied, err
		}
		emptied += events
	}
	return emptied, nil
}

// empty makes husks of the events between two versions.
func empty(w *writer, name persistence.StreamID, id int64, from, to persistence.Version) (int, error) {
	part := []driver.Value{id, int64(from), int64(to)}
	if err := untag(w, name, part); err != nil {
		return 0, err
	}
	if _, err := w.do("scavenge_keys", part...); err != nil {
		return 0, err
	}
	events, err := w.do("scavenge_events", part...)
	return int(events), err
}

func untag(w *writer, name persistence.StreamID, part []driver.Value) error {
	tagged, err := w.statement("scavenge_tags")
	if err != nil {
		return err
	}
	var broken error
	err = tagged.each(part, func(row []driver.Value) bool {
		c := columns{row: row}
		position, list := c.integer(0), c.text(1)
		tags, err := decodeTags(list)
		if c.wrong || err != nil {
			broken = &persistence.CorruptError{Stream: name, Reason: "the tags cannot be read", Err: err}
			return false
		}
		for _, tag := range tags {
			if _, broken = w.do("tag_delete", tag, position); broken != nil {
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	return broken
}
