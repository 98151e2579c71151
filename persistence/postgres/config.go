package postgres

import (
	"errors"
	"log/slog"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Durability says what an acknowledgement promises.
type Durability int

const (
	// Durable means that an acknowledged append survives the loss of power. [Open] checks
	// that the server is configured so.
	Durable Durability = iota
	// Relaxed means that an acknowledged append survives as much as the server is configured
	// for, which may be only the end of a process. Open logs that the journal is relaxed.
	Relaxed
)

// Protocol says how statements are sent. All protocols store and read the same. They differ
// in speed, and in what a pooler must understand.
type Protocol int

const (
	// ProtocolAuto is ProtocolPrepared, and ProtocolExec behind a pooler.
	ProtocolAuto Protocol = iota
	// ProtocolPrepared prepares each statement once on a connection. A pooler that pools
	// by transaction must know prepared statements: PgBouncer does from 1.21 on with
	// max_prepared_statements of at least 100.
	ProtocolPrepared
	// ProtocolExec sends each statement unnamed, with its parameters, which every pooler
	// understands. The server makes a plan each time.
	ProtocolExec
)

// EarlyRelease says when writers release the order lock: after their commit is flushed, or
// before.
//
// Positions are given under a lock that is held until the commit is visible. A commit that
// is flushed first makes the writers of several journals wait for each other's flushes. With
// an early release the commit is visible before it is flushed: the writer flushes it before
// it answers, and readers flush what they read before they hand it on. So what was
// acknowledged or delivered survives a crash either way. The choice is kept in the database
// and holds for all journals on it.
type EarlyRelease int

const (
	// EarlyAuto lets the journal choose: early while several journals append, and late when
	// one has been alone for a while. A single journal waits for nobody else's flush, and its
	// batches grow with the time that a flush takes.
	EarlyAuto EarlyRelease = iota
	// EarlyOff never releases the lock early on behalf of this journal. Others may.
	EarlyOff
	// EarlyOn makes writers release the lock early from Open on.
	EarlyOn
)

// Config says where a journal is, and bounds what the journal uses. URL or Pool must be
// set; everything else has a default.
type Config struct {
	// URL is a connection string in the form of libpq. The role needs the right to
	// select from the journal's tables and to execute its functions. The string may name
	// several hosts, in any order: the journal takes the one that stores events, and looks
	// for it again when a standby has been promoted, unless target_session_attrs says
	// otherwise.
	URL string
	// Pool is for programs that need more than a URL can say, such as changing passwords.
	// The journal copies it. It also makes connections of its own beside the pool, with
	// the pool's ConnConfig and BeforeConnect. URL must then be empty.
	Pool *pgxpool.Config

	// Schema holds the journal's tables. The default is "stele". Journals in
	// different schemas of one database do not touch or wait for each other.
	Schema string
	// Migrate lets Open bring the schema up to date, as [Migrate] does. Without it
	// Open fails when the schema is missing or older.
	Migrate bool
	// Durability is Durable by default.
	Durability Durability
	// EarlyRelease is EarlyAuto by default.
	EarlyRelease EarlyRelease
	// Pooler says that connections go through a pooler that pools by transaction, such
	// as PgBouncer. The journal then uses no prepared statements unless Protocol says so,
	// and sends only those settings of a session that a pooler keeps for each client. It
	// refuses a session whose role or database sets others that change what statements
	// mean. It cannot end a lost backend, so some unknown outcomes stay unknown. It does
	// not notice by itself that the server was replaced by one that lacks the newest events;
	// subscriptions notice it when they are opened again. The pooler needs no settings of
	// its own.
	Pooler bool
	// Protocol says how statements are sent, ProtocolAuto by default.
	Protocol Protocol

	// ReadConnections bounds the connections for reading. The default is 4, or what
	// Pool.MaxConns says. There is one more for appends.
	ReadConnections int
	// BatchEvents bounds the events that one commit stores, 512 by default. Two batches
	// are under way at a time.
	BatchEvents int
	// QueuedAppends and QueuedBytes bound the appends that wait, 65536 and 64 MiB by
	// default. Beyond them appends are refused as overloaded.
	QueuedAppends, QueuedBytes int
	// StreamNames bounds the names of streams kept in memory, 262144 by default.
	StreamNames int

	// PollInterval is the time between two looks of waiting readers for events that other processes
	// stored; those of this journal are signalled. The default is 250 ms.
	PollInterval time.Duration
	// ConnectTimeout bounds one attempt to connect to one host, 3 s by default.
	ConnectTimeout time.Duration
	// StatementTimeout bounds the time for the answer to a batch, before its
	// connection counts as lost, 10 s by default. The append is then looked for.
	StatementTimeout time.Duration
	// ResolveTimeout bounds the time in which the journal tries to find out whether an append was
	// stored whose connection was lost, 30 s by default. Then the outcome is unknown.
	ResolveTimeout time.Duration
	// CloseTimeout bounds the time that Close gives appends to finish, 10 s by default.
	CloseTimeout time.Duration

	// Logger takes what operators should know and what no caller gets. The default is
	// slog.Default().
	Logger *slog.Logger

	// writing configures the connections that store events. Those of Pool only read.
	writing *pgx.ConnConfig
}

// normal checks a configuration and fills in its defaults. The result has a Pool.
func (c Config) normal() (Config, error) {
	var errs []error
	invalid := func(field, reason string) {
		errs = append(errs, &persistence.InvalidError{Field: field, Reason: reason})
	}
	if reason := c.choosePool(); reason != "" {
		invalid("URL", reason)
	}
	if c.Schema == "" {
		c.Schema = "stele"
	}
	if err := checkSchema(c.Schema); err != nil {
		errs = append(errs, err)
	}
	c.checkChoices(invalid)
	count := func(name string, field *int, value int) {
		if *field < 0 {
			invalid(name, "is negative")
		} else if *field == 0 {
			*field = value
		}
	}
	count("read connections", &c.ReadConnections, 0)
	count("batch events", &c.BatchEvents, 512)
	count("queued appends", &c.QueuedAppends, 65536)
	count("queued bytes", &c.QueuedBytes, 64<<20)
	count("stream names", &c.StreamNames, 262144)
	duration := func(name string, field *time.Duration, value time.Duration) {
		if *field < 0 {
			invalid(name, "is negative")
		} else if *field == 0 {
			*field = value
		}
	}
	duration("poll interval", &c.PollInterval, 250*time.Millisecond)
	duration("connect timeout", &c.ConnectTimeout, 3*time.Second)
	duration("statement timeout", &c.StatementTimeout, 10*time.Second)
	duration("resolve timeout", &c.ResolveTimeout, 30*time.Second)
	duration("close timeout", &c.CloseTimeout, 10*time.Second)
	c.Logger = usercode.Logger(c.Logger)
	if err := errors.Join(errs...); err != nil {
		return c, err
	}
	c.prepare()
	return c, nil
}

// choosePool gives the configuration a pool of its own, or returns what is wrong with the
// URL.
func (c *Config) choosePool() (reason string) {
	switch {
	case c.URL == "" && c.Pool == nil:
		return "is empty, and there is no Pool"
	case c.URL != "" && c.Pool != nil:
		return "and Pool are both set"
	case c.Pool != nil:
		c.Pool = c.Pool.Copy()
		return ""
	}
	pool, err := pgxpool.ParseConfig(c.URL)
	if err != nil { // not shown: it quotes the URL
		return pgsession.NotAURL
	}
	if !strings.Contains(c.URL, "pool_max_conns") {
		pool.MaxConns = 4
	}
	c.Pool = pool
	return ""
}

func (c *Config) checkChoices(invalid func(field, reason string)) {
	if c.Durability != Durable && c.Durability != Relaxed {
		invalid("durability", "is neither Durable nor Relaxed")
	}
	if c.EarlyRelease < EarlyAuto || c.EarlyRelease > EarlyOn {
		invalid("early release", "is none of EarlyAuto, EarlyOff and EarlyOn")
	}
	if c.Protocol < ProtocolAuto || c.Protocol > ProtocolExec {
		invalid("protocol", "is none of ProtocolAuto, ProtocolPrepared and ProtocolExec")
	}
}

// prepare sets what every connection of the journal has.
func (c *Config) prepare() {
	if c.ReadConnections > 0 {
		c.Pool.MaxConns = int32(min(c.ReadConnections, 1000))
	}
	switch {
	case c.Protocol == ProtocolAuto && c.Pooler:
		c.Protocol = ProtocolExec
	case c.Protocol == ProtocolAuto:
		c.Protocol = ProtocolPrepared
	}
	reading := c.Pool.ConnConfig
	reading.ConnectTimeout = c.ConnectTimeout
	if c.Protocol == ProtocolExec {
		reading.DefaultQueryExecMode = pgx.QueryExecModeExec
	}
	c.writing = reading.Copy()
	pgsession.Prepare(reading, c.session(pgsession.Primary))
	pgsession.Prepare(c.writing, c.session(pgsession.Writable))
}

// session returns what the journal's sessions on such a server are like.
func (c *Config) session(server pgsession.Server) pgsession.Options {
	return pgsession.Options{Name: "stele", Server: server, Pooler: c.Pooler, Planner: true, Durable: c.Durability == Durable}
}

// checkSchema refuses a name that Postgres would cut, reserve or misread.
func checkSchema(name string) error {
	switch {
	case name == "" || len(name) > 63:
		return &persistence.InvalidError{Field: "schema", Reason: "must have 1 to 63 bytes"}
	case !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return &persistence.InvalidError{Field: "schema", Reason: "must be UTF-8 without control characters"}
	case strings.HasPrefix(name, "pg_"):
		return &persistence.InvalidError{Field: "schema", Reason: `must not begin with "pg_", which Postgres reserves`}
	}
	return nil
}
