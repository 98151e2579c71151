package memory

import (
	"context"

	"github.com/stele-es/stele/persistence"
)

// Head returns the last position, which is 0 in an empty journal.
func (j *Journal) Head(ctx context.Context) (persistence.Positions, error) {
	view, err := j.view(ctx)
	if err != nil {
		return nil, err
	}
	return persistence.Positions{view.size}, nil
}

// Wait returns as soon as an event lies beyond after, whatever its stream.
func (j *Journal) Wait(ctx context.Context, after persistence.Positions) error {
	return j.head.Wait(ctx, after.Of(0).Offset)
}

// publish wakes readers that wait for what was stored. The caller holds mu.
func (j *Journal) publish() { j.head.Raise(j.state.log.size) }
