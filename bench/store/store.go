package store

import (
	"context"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/persistence"
)

// All returns the stores there are. A new one is a line here.
func All() []Backend {
	return []Backend{
		{"memory", openMemory},
		{"sqlite", openSQLite},
		{"postgres", openPostgres},
	}
}

// Backend opens a place where journals of one kind can be made.
type Backend struct {
	Name string
	Open func(context.Context, Settings) (Store, error)
}

// Settings are the choices of the program's user.
type Settings struct {
	// Postgres is the URL of a server to use instead of a private one.
	Postgres string
	// Relaxed takes a server that does not flush, which tests do.
	Relaxed bool
	// slow makes every flush of a private server take a millisecond longer.
	slow bool
}

// Store is a place for journals of one kind, and the raw ways to write the same
// rows there. Its journals live in spaces, which do not touch each other.
type Store interface {
	// About says how the store is configured.
	About() string
	// Open opens the journal of a space, which is made when it is missing.
	Open(ctx context.Context, space string) (Journal, error)
	// Drop gives a space back; its journal is closed.
	Drop(ctx context.Context, space string) error
	// Rivals are the raw ways to write rows, the ceilings of appends.
	Rivals() []Rival
	Selector
	// Close gives everything back.
	Close(ctx context.Context) error
}

// Journal is a journal with all abilities that every journal of ours has.
type Journal interface {
	persistence.Journal
	persistence.Submitter
	persistence.PageReader
}

// Rival is a raw way to write the rows that appends write: a ceiling.
type Rival struct {
	Name string
	// Is completes the words "divided by rows/s of".
	Is string
	// Aims are the ratios that our journal should reach, by the number of writers for which
	// the rival is measured. With one writer latencies are compared, else throughputs.
	Aims map[int]measure.Aim
	Run  func(ctx context.Context, writers int, window time.Duration) (load.Result, error)
}

// Scanner is a store that can read the rows of a space without the journal.
type Scanner interface {
	// Scan reads all rows in the order of their positions and returns their number.
	Scan(ctx context.Context, space string) (int, error)
}

// Selector reads events as a loop by hand would: by plain SELECTs, or in memory by the journal
// itself. These are the ceilings of reading.
type Selector interface {
	// SelectStream calls each with the type and payload of every event of a stream, in their
	// order. Goroutines may call it side by side.
	SelectStream(ctx context.Context, space, stream string, each func(eventType string, payload []byte) error) error
	// SelectAll does so with every event, in the order of their positions.
	SelectAll(ctx context.Context, space string, each func(eventType string, payload []byte) error) error
}
