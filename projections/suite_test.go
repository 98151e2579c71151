package projections_test

import (
	"context"
	"maps"
	"testing"

	"github.com/stele-es/stele/projections"
	"github.com/stele-es/stele/projections/projectionstest"
)

func TestInMemory(t *testing.T) {
	t.Parallel()
	projectionstest.Run(t, func(testing.TB) projectionstest.Subject[*map[string]int] {
		target := projections.InMemory(&map[string]int{})
		return projectionstest.Subject[*map[string]int]{
			Target: target, Loose: true,
			Add: func(_ context.Context, m *map[string]int, key string, n int) error {
				(*m)[key] += n
				return nil
			},
			Sums: func(context.Context) (sums map[string]int, _ error) {
				target.View(func(m *map[string]int) { sums = maps.Clone(*m) })
				return sums, nil
			},
		}
	})
}
