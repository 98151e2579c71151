package prooph

import (
	"errors"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
)

// Config says where prooph's tables are and how they become streams. URL must be
// set.
type Config struct {
	// URL is a connection string in the form of libpq. The role needs the right to
	// select from the tables. A standby will do.
	URL string
	// Table is where prooph lists its streams: "event_streams" by default. A "." in it
	// ends the name of a schema, as it does in prooph.
	Table string
	// Streams are the names of the streams to import. All are by default, so also those
	// that projections have emitted; what begins with "$" is refused unless renamed.
	Streams []string
	// Strategy is how the tables are to be understood. By default each tells it by its
	// indexes.
	Strategy Strategy
	// Split makes a stream of each aggregate in a table by the single-stream strategy,
	// named by its type and id: "user-7". Otherwise each table becomes one stream under
	// the name that it has in prooph.
	Split bool
	// Rename returns the name that a stream is to have instead: prooph's types are
	// often names of classes, which no kind can be. By default names stay.
	Rename func(name string) string
	// Policies say what becomes of rows that do not fit; the default is [Refuse].
	Policies Policies
	// Progress, when set, is called after each batch, by the goroutine that imports.
	// Rows are counted first then, which reads every table's index once more.
	Progress func(Progress)
	// ConnectTimeout bounds the attempt to connect, 10 s by default.
	ConnectTimeout time.Duration
}

// Progress counts the rows of an import so far.
type Progress struct {
	// Read of Total rows are done, of which Stored are in the journal.
	Read, Total, Stored int64
	// At is when the last of them was created.
	At time.Time
}

// Strategy is one of prooph's ways to lay out a table.
type Strategy int

const (
	// Detect looks at the indexes of each table.
	Detect Strategy = iota
	// AggregateStream is a table of one aggregate, whose versions are unique.
	AggregateStream
	// SingleStream is a table of many aggregates; type, id and version together are
	// unique.
	SingleStream
	// SimpleStream is a table in which nothing but the id is unique.
	SimpleStream
)

// normal checks a configuration and fills its defaults in.
func (c Config) normal() (Config, *pgx.ConnConfig, error) {
	var errs []error
	invalid := func(field, reason string) {
		errs = append(errs, &persistence.InvalidError{Field: field, Reason: reason})
	}
	connect, err := pgx.ParseConfig(c.URL)
	if c.URL == "" || err != nil { // not wrapped: it quotes the URL
		invalid("URL", pgsession.NotAURL)
	}
	if c.Table == "" {
		c.Table = "event_streams"
	}
	if strings.IndexByte(c.Table, 0) >= 0 || strings.HasPrefix(c.Table, ".") || strings.HasSuffix(c.Table, ".") {
		invalid("table", "is not the name of a table")
	}
	if c.Strategy < Detect || c.Strategy > SimpleStream {
		invalid("strategy", "is none of prooph's")
	}
	if c.ConnectTimeout < 0 {
		invalid("connect timeout", "is negative")
	} else if c.ConnectTimeout == 0 {
		c.ConnectTimeout = 10 * time.Second
	}
	errs = append(errs, c.Policies.check())
	if err := errors.Join(errs...); err != nil {
		return c, nil, err
	}
	connect.ConnectTimeout = c.ConnectTimeout
	// The rest of the settings is the transaction's, so that a pooler may stand between.
	pgsession.Prepare(connect, pgsession.Options{Name: "stele prooph import", Server: pgsession.Any, Pooler: true})
	return c, connect, nil
}

// identifier quotes a name in which the first "." ends a schema.
func identifier(name string) string {
	if schema, table, found := strings.Cut(name, "."); found {
		return pgx.Identifier{schema, table}.Sanitize()
	}
	return pgx.Identifier{name}.Sanitize()
}
