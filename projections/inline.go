package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Inline applies the events of an append to the read model at once, inside the
// transaction that appends them. The owner of the transaction calls it after AppendTx of
// the journal, for read models that must never be behind, such as a list of names that
// may be taken only once. There is no checkpoint, and nothing is tried again or parked:
// an error must roll back everything, the events included. The journal's other writers
// wait meanwhile.
//
// The handlers see the event as it is before the commit: its ID is zero unless the writer
// chose it, and its time is that of this program. An append that had been stored before
// changes nothing.
//
// The policy and the workers of the definition have no effect here, and its source
// chooses among the events of the append.
func (d *Definition[T]) Inline(ctx context.Context, tx T, append *persistence.Append, outcome persistence.Outcome) (err error) {
	if err := d.check(); err != nil {
		return err
	}
	if outcome.Err != nil || outcome.Duplicate {
		return outcome.Err
	}
	defer func() {
		if reason := recover(); reason != nil {
			err = fmt.Errorf("projection %s: the handler %w", d.name, usercode.Panicked(reason))
		}
	}()
	now := time.Now().UTC()
	for i := range append.Events {
		recorded := persistence.Recorded{Event: append.Events[i], Stream: append.Stream, Version: outcome.First + persistence.Version(i), Position: outcome.Position, At: now} //nolint:gosec // an index
		recorded.Position.Offset += int64(i)
		if d.source.where != nil && !d.source.where.Match(&recorded) || len(d.source.tags) > 0 && !d.source.tagged(&recorded) {
			continue
		}
		if err := d.handle(ctx, tx, &recorded); err != nil {
			return fmt.Errorf("apply %s of %s in projection %s: %w", recorded.Type, append.Stream, d.name, err)
		}
	}
	return nil
}

// SetUp runs [Setup], for programs that apply the definition with [Definition.Inline]; a
// runner does this by itself.
func (d *Definition[T]) SetUp(ctx context.Context, tx T) error {
	if d.setup == nil {
		return nil
	}
	return d.setup(ctx, tx)
}
