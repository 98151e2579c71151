package main

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
)

// store is a place for journals of one kind, and the raw ways to write the same
// rows there. Its journals live in spaces, which do not touch each other.
type store interface {
	// about says how the store is configured.
	about() string
	// open opens the journal of a space, which is made when it is missing.
	open(ctx context.Context, space string) (journal, error)
	// drop gives a space back; its journal is closed.
	drop(ctx context.Context, space string) error
	// rivals are the raw ways to write rows.
	rivals() []rival
	close(ctx context.Context) error
}

// journal is what is measured: every journal of ours can do all of it.
type journal interface {
	persistence.Journal
	persistence.Submitter
	persistence.PageReader
}

// rival is a raw way to write the rows that appends write.
type rival struct {
	name string
	// aims are what ours should reach beside it, by the number of writers that it
	// is a rival for. Beside one writer latencies are compared, else throughputs.
	aims map[int]aim
	run  func(ctx context.Context, writers int, window time.Duration) (load, error)
}

// scanner is a store that can read the rows of a space without the journal.
type scanner interface {
	// scan reads all rows in the order of their positions and returns their number.
	scan(ctx context.Context, space string) (int, error)
}
