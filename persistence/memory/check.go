package memory

import (
	"context"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
)

// Check fulfils [persistence.Checker]: it always warns that nothing is durable.
func (j *Journal) Check(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	events, err := journalkit.CheckEvents(ctx, j, options)
	if err != nil {
		return nil, err
	}
	return []persistence.Finding{
		{
			Severity: persistence.Warning, Check: "durability", Text: "events are in memory only and end with the process",
			Fix: "use a journal of package sqlite or postgres for what is to stay",
		},
		events,
	}, nil
}
