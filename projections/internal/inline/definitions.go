package inline

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// Definitions are those whose handlers write to T.
type Definitions[T any] []*projections.Definition[T]

// Check returns everything that is wrong with them.
func (d Definitions[T]) Check(ctx context.Context) error {
	var problems []error
	for _, definition := range d {
		if definition == nil {
			problems = append(problems, errors.New("an inline projection is nil: give what Define returns"))
			continue
		}
		// With nothing to apply it says what is wrong with it.
		problems = append(problems, definition.Inline(ctx, *new(T), new(persistence.Append), persistence.Outcome{}))
	}
	return errors.Join(problems...)
}

// SetUp makes the read models.
func (d Definitions[T]) SetUp(ctx context.Context, tx T) error {
	for _, definition := range d {
		if err := definition.SetUp(ctx, tx); err != nil {
			return fmt.Errorf("set up inline projection %s: %w", definition.Name(), err)
		}
	}
	return nil
}

// Apply changes the read models by what was appended.
func (d Definitions[T]) Apply(ctx context.Context, tx T, appends []persistence.Append, outcomes []persistence.Outcome) error {
	for i := range appends {
		for _, definition := range d {
			if err := definition.Inline(ctx, tx, &appends[i], outcomes[i]); err != nil {
				return err
			}
		}
	}
	return nil
}
