package store

import (
	"context"
	"time"

	"github.com/stele-es/stele/bench/load"
)

// Slower is a store that can have one like itself in which a flush takes a
// millisecond longer: so long that writers who wait for each other show.
type Slower interface {
	// Slower reports false where there can be none.
	Slower(ctx context.Context) (Shared, bool, error)
}

// Shared is a store whose journals several nodes can have open at once.
type Shared interface {
	// Open opens the journal of a space for one more node.
	Open(ctx context.Context, space string) (Journal, error)
	Drop(ctx context.Context, space string) error
	// Unordered lets as many connections as there are nodes insert the rows of their
	// appends, a commit for each batch, and nobody waits for anybody's order.
	Unordered(ctx context.Context, nodes, batch int, window time.Duration) (load.Result, error)
	Close(ctx context.Context) error
}
