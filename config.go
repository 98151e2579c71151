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

// Aggregates are the definitions of the aggregates that a node hosts.
type Aggregates []actors.Definition

// Projections are the projections that a node runs: definitions with their targets.
type Projections []projections.Projection

// Config holds the parts of a node and its limits. Only Journal and Aggregates are
// required. Every other field that is zero has the default that its comment names; a
// negative number is refused. Config has the fields of the Config of package actors and
// of package projections, under the same names.
type Config struct {
	// Journal stores the events. The program that opened it closes it, after [Node.Stop].
	Journal persistence.Journal
	// Aggregates are hosted on this node: at least one, each kind once.
	Aggregates Aggregates
	// Projections are run on this node: each name and version once, all versions of a
	// name in one store. The default is none.
	Projections Projections
	// Checkpoints stores how far the reactions of aggregates have come, see [actors.React],
	// and the events at which they fail: a target of package projections/postgres or sqlite.
	// It must last as long as the journal; use projections.Books for a journal in memory.
	// Without reactions it is not needed.
	Checkpoints projections.Store
	// Upcasters turn events that were stored in an old form into those that the aggregates
	// and the projections know. The default is none.
	Upcasters *upcast.Chain
	// AcceptLoss starts the node although it would lose a part of what is stored, or cannot
	// read it, and logs a warning with the findings. Without it [Start] refuses, see
	// [IncompatibleError]. Set it after somebody has looked at the findings, and not for
	// good. With it the journal is not searched for events that were stored before programs
	// noted their types.
	AcceptLoss bool
	// Logger takes the messages for operators. The default is slog.Default().
	Logger *slog.Logger
	// Node names this process to operators, among those that run the same projections. The
	// default is "node".
	Node string

	// StopTimeout is the time for which [Node.Stop] waits at most until the commands that
	// the node has taken are done. The default is 20 s, which fits into the 30 s that
	// Kubernetes gives.
	StopTimeout time.Duration

	// AskTimeout limits an Ask whose context has no deadline. The default is 10 s.
	AskTimeout time.Duration
	// Enrich returns metadata for the events of a command, such as a tenant or a user, from
	// the context of its caller. Metadata of [actors.WithMetadata] is added to it and wins;
	// the same rules hold. Enrich runs on the caller's goroutine. The default adds nothing.
	Enrich func(ctx context.Context) persistence.Metadata
	// Around wraps every command, the first function outermost: to authorise, to validate,
	// to trace, to log. The default is nothing.
	Around []actors.Around
	// NewCommandID makes an id for each command that has none from its caller, and each id
	// once. The default makes ids in the order of time; a simulation makes the same ids each
	// time.
	NewCommandID func() persistence.CommandID
	// ShowPanics puts the values of panics in handlers and other code of the program into
	// logs and errors, for tests and development. A value may hold personal data, so by
	// default only its type is shown. Errors of the Go runtime are always shown.
	ShowPanics bool
	// TrustCallers hands protobuf commands to handlers without copying them. Set it when no
	// caller changes a command after asking it.
	TrustCallers bool
	// RememberFor is the time for which a command with [actors.Once] is recognised when it
	// is repeated, at least, unless RememberMax more commands came to the same aggregate
	// since. No single reading of a clock decides: the times of dozens of commands of the
	// aggregate are compared, so that the newest of them are recognised for as long as
	// RememberMax allows. The default is 7 days.
	RememberFor time.Duration
	// RememberMax is the number of commands with an id of their caller that an aggregate
	// recognises. Each takes about 90 bytes while the aggregate is in memory. The default is
	// 1000.
	RememberMax int
	// GiveUpAfter is the time for which the node tries to deliver a sent command, counted
	// from when it was due. After it the sender gets [actors.ErrUndelivered]. A node tries
	// for at least a minute, whatever its clock says. The default is a day.
	GiveUpAfter time.Duration

	// Mailbox limits how many commands may wait for one aggregate. More are refused as
	// overloaded. The default is 1024.
	Mailbox int
	// MaxInFlight limits how many commands the node has taken and not answered. More are
	// refused as overloaded. The default is 65536.
	MaxInFlight int
	// MaxInFlightBytes limits the bytes of the commands that the node has taken and not
	// answered. While they have as many, more are refused as overloaded. The default is 256
	// MiB.
	MaxInFlightBytes int
	// MaxActive limits how many aggregates stay in memory. Beyond it, those that were unused
	// for longest leave. The default is 100,000.
	MaxActive int
	// MaxPending limits how many sent commands may be unfinished, timers included. A command
	// that would add to them is refused as overloaded, with [actors.ReasonTooManyPending].
	// All commands that nodes on the journal have sent for kinds hosted here count, as they
	// were known up to half a minute ago. The default is 1,000,000; each sender takes about
	// 100 bytes.
	MaxPending int
	// Idle is the time for which an unused aggregate stays in memory, to the second. The
	// default is 2 minutes; a definition may choose another with [actors.Idle].
	Idle time.Duration
	// Recoveries is the number of streams that are read at the same time. The default is 50.
	Recoveries int

	// Tailer reads the journal for all projections of this node; one that others use too
	// must read the journal as it is, without upcasters. The default is one of its own.
	Tailer *tail.Tailer
	// Placement says which workers of the projections run here. The default is all.
	Placement projections.Placement
	// PollInterval is the time after which a request of an operator in another process
	// (stop, reset, delete, switch) is seen at the latest. A worker that is at work sees it
	// at once. The default is one second.
	PollInterval time.Duration
	// TakeOverAfter is the time without a sign of life after which another runner of the
	// same projections takes over from a runner that has a part of one. A runner gives five
	// signs of life in that time. A store on one machine sees at once that a process has
	// ended. It must be the same in all processes. The default is 5 s.
	TakeOverAfter time.Duration
	// Grace is the time for which a handler at work may continue when its projection has to
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
