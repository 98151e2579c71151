// Package projectionstest proves that targets of projections keep their promises.
//
//	func TestTarget(t *testing.T) {
//		t.Parallel()
//		projectionstest.Run(t, func(t testing.TB) projectionstest.Subject[pgx.Tx] {
//			return projectionstest.Subject[pgx.Tx]{Target: open(t), Add: add, Sums: sums}
//		})
//	}
//
// The suite is itself tested against targets that break a promise each.
package projectionstest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stele-es/stele/projections"
)

// Subject is a target under test, with a read model that the suite brings.
type Subject[T any] struct {
	// Target is the target under test.
	Target projections.Target[T]
	// Add adds n to what the read model has under a key.
	Add func(ctx context.Context, tx T, key string, n int) error
	// Sums returns all that the read model has, by key.
	Sums func(ctx context.Context) (map[string]int, error)
	// Loose says that the target has no transactions, so that what was added before a
	// failure stays.
	Loose bool
}

// Run tests a target. Every call of open returns one that is empty; removing it
// belongs to t.Cleanup.
func Run[T any](t *testing.T, open func(testing.TB) Subject[T]) {
	t.Helper()
	all := cases[T]()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			if err := all[name](ctx, open(t)); err != nil {
				t.Error(err)
			}
		})
	}
}

// patience bounds each case, so that a target that hangs fails.
const patience = time.Minute

// check is a case: it returns what is wrong.
type check[T any] func(context.Context, Subject[T]) error

func cases[T any]() map[string]check[T] {
	all := map[string]check[T]{}
	maps.Copy(all, bookCases[T]())
	maps.Copy(all, runCases[T]())
	maps.Copy(all, waitingCases[T]())
	maps.Copy(all, heartbeatCases[T]())
	return all
}

// want returns an error unless it holds.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}

// errBack is the error that bodies return to roll back.
var errBack = errors.New("roll back")
