package memory

import (
	"context"
	"maps"

	"github.com/stele-es/stele/persistence"
)

// Scavenge fulfils [persistence.Scavenger].
func (j *Journal) Scavenge(ctx context.Context, id persistence.StreamID) (int, error) {
	if err := id.CheckName(); err != nil {
		return 0, err
	}
	if err := j.lockToWrite(ctx); err != nil {
		return 0, err
	}
	defer j.mu.Unlock()
	s := j.state.find(id)
	if s == nil {
		return 0, nil
	}
	var doomed []int64
	for _, position := range s.positions[:s.first-1] {
		switch j.state.log.at(position).event.Type {
		case persistence.TypeGone, persistence.TypeDeleted:
		default:
			doomed = append(doomed, position)
		}
	}
	if len(doomed) > 0 {
		j.state.log.empty(doomed)
	}
	maps.DeleteFunc(s.named, func(_ persistence.EventID, version persistence.Version) bool { return version < s.first })
	return len(doomed), nil
}
