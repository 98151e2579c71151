package stele

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// Aggregates are the definitions that a node hosts.
type Aggregates []actors.Definition

// Projections are the definitions, with their targets, that a node runs.
type Projections []projections.Projection

// Config says what a node consists of, and bounds it. Only Journal and Aggregates are
// required; every other field has the default that its comment names when it is zero,
// and a negative number is refused. It holds all that package actors and package
// projections can be told, under the names of their own Config.
type Config struct {
	// Journal stores the events. Who opened it closes it, after [Node.Stop].
	Journal persistence.Journal
	// Aggregates are hosted on this node: at least one, each kind once.
	Aggregates Aggregates
	// Projections are run on this node: each name and version once, all versions of a
	// name in one store. The default is none.
	Projections Projections
	// Checkpoints keep how far the reactions of aggregates have come, see
	// [actors.React], and the events at which they fail: a target of package
	// projections/postgres or sqlite. It must last as long as the journal does;
	// projections.Books are for a journal in memory. Without reactions it is not needed.
	Checkpoints projections.Store
	// Upcasters turn events that were stored in an old form into those that the
	// aggregates and the projections know. The default is none.
	Upcasters *upcast.Chain
	// AcceptLoss starts the node although it would lose a part of what is stored, or cannot
	// read it: what is found is logged as a warning then. Without it [Start] refuses, see
	// [IncompatibleError]. It is for what somebody has looked at, and not for good. The
	// journal is not looked through then for what was stored before programs noted it.
	AcceptLoss bool
	// Logger takes what operators should know. The default is slog.Default().
	Logger *slog.Logger
	// Node names this process to operators, among those that run the same projections.
	// The default is "node".
	Node string

	// StopTimeout is how long [Node.Stop] waits at most for what the node has taken. The
	// default is 20 s, which fits into the 30 s that Kubernetes gives.
	StopTimeout time.Duration

	// AskTimeout bounds an Ask whose context has no deadline. The default is 10 s.
	AskTimeout time.Duration
	// Enrich returns metadata for the events of a command from the context of its
	// caller: a tenant, a user. It comes besides that of [actors.WithMetadata], which
	// wins, and under the same rules. It runs on the caller's goroutine. The default
	// adds nothing.
	Enrich func(ctx context.Context) persistence.Metadata
	// Around stands around every command, the first outermost: to authorise, to
	// validate, to trace, to log. The default is nothing.
	Around []actors.Around
	// NewCommandID makes the ids of commands that their callers give none, each of
	// them once. The default makes ids in the order of time; a simulation makes the
	// same each time.
	NewCommandID func() persistence.CommandID
	// ShowPanics puts the value of a panic in handlers and other code of the program's into
	// logs and errors: for tests and development. A value may hold personal data, so the
	// default says its type only. Errors of the Go runtime are always shown.
	ShowPanics bool
	// TrustCallers hands protobuf commands to handlers without copying them, but for the
	// first of an aggregate that is taken for new, which may be decided twice. Set it
	// when no caller changes a command after asking it.
	TrustCallers bool
	// RememberFor is how long a command that was asked with [actors.Once] is known again at
	// least, unless RememberMax more commands came to the same aggregate since. No single
	// reading of a clock decides: time is told by dozens of commands of the aggregate
	// together, so the newest of them are known for as long as RememberMax allows. The
	// default is 7 days.
	RememberFor time.Duration
	// RememberMax is how many commands with an id of their caller's an aggregate
	// knows again. Each takes some 90 bytes while the aggregate is in memory. The
	// default is 1000.
	RememberMax int
	// GiveUpAfter is for how long a command that an aggregate sent is tried to be
	// delivered, from when it was due; then its sender gets [actors.ErrUndelivered]. A node
	// tries for a minute at least, whatever its clock says. The
	// default is a day.
	GiveUpAfter time.Duration

	// Mailbox is how many commands may wait for one aggregate; more are refused as
	// overloaded. The default is 1024.
	Mailbox int
	// MaxInFlight is how many commands the node takes before it refuses more as
	// overloaded. The default is 65536.
	MaxInFlight int
	// MaxInFlightBytes is how many bytes the commands may have that the node has
	// taken and not answered; while they have as many, more are refused as overloaded.
	// The default is 256 MiB.
	MaxInFlightBytes int
	// MaxActive is how many aggregates are kept in memory; beyond it those unused
	// for longest leave. The default is 100,000.
	MaxActive int
	// MaxPending is how many commands that aggregates have sent may wait to be done,
	// timers included, before a command that would add to them is refused as
	// overloaded, with [actors.ReasonTooManyPending]. What nodes on the journal have
	// sent for kinds hosted here counts, as it was known up to half a minute ago. The
	// default is 1,000,000; each sender takes some 100 bytes.
	MaxPending int
	// Idle is how long an unused aggregate stays in memory, to the second. The
	// default is 2 minutes; a definition may choose otherwise with [actors.Idle].
	Idle time.Duration
	// Recoveries is how many streams are read at once. The default is 50.
	Recoveries int

	// Tailer reads the journal for all projections of this node; one that others use too
	// must read the journal as it is, without upcasters. The default is one of its own.
	Tailer *tail.Tailer
	// Placement says which workers of the projections run here. The default is all.
	Placement projections.Placement
	// PollInterval is how long it takes at most until a wish is seen that was made in
	// another process and does not concern a worker at work, which sees it at once.
	// The default is one second.
	PollInterval time.Duration
	// TakeOverAfter is how long a runner that has a part of a projection may give no sign
	// of life until another one that runs the same takes over from it; it gives five in
	// that time. A store on one machine sees at once that a process has ended. It is the
	// same in all processes. The default is 5 s.
	TakeOverAfter time.Duration
	// Grace is how long a handler that is at work may go on when its projection is to
	// stop. The default is 10 s.
	Grace time.Duration
}

const defaultStopTimeout = 20 * time.Second

// check finds what is wrong with the fields that no part has.
func (c *Config) check() error {
	if c.StopTimeout < 0 {
		return errors.New("negative Config.StopTimeout: 0 is the default")
	}
	return nil
}

// parts are the configurations of the packages that a node is made of: the one place
// that knows which field goes where. A field that is not here does nothing.
func (c *Config) parts() (actors.Config, projections.Config) {
	hosting := actors.Config{
		Journal:          c.Journal,
		Aggregates:       c.Aggregates,
		Upcasters:        c.Upcasters,
		Logger:           c.Logger,
		AskTimeout:       c.AskTimeout,
		Enrich:           c.Enrich,
		Around:           c.Around,
		NewCommandID:     c.NewCommandID,
		ShowPanics:       c.ShowPanics,
		TrustCallers:     c.TrustCallers,
		RememberFor:      c.RememberFor,
		RememberMax:      c.RememberMax,
		GiveUpAfter:      c.GiveUpAfter,
		Mailbox:          c.Mailbox,
		MaxInFlight:      c.MaxInFlight,
		MaxInFlightBytes: c.MaxInFlightBytes,
		MaxActive:        c.MaxActive,
		MaxPending:       c.MaxPending,
		Idle:             c.Idle,
		Recoveries:       c.Recoveries,
		Delivering:       true, // see reactions
	}
	reading := projections.Config{
		Journal:       c.Journal,
		Projections:   c.Projections,
		Upcasters:     c.Upcasters,
		Logger:        c.Logger,
		Node:          c.Node,
		Tailer:        c.Tailer,
		Placement:     c.Placement,
		PollInterval:  c.PollInterval,
		TakeOverAfter: c.TakeOverAfter,
		Grace:         c.Grace,
	}
	return hosting, reading
}
