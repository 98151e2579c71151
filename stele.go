package stele

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// Node is a running system. It fulfils [actors.Asker] and is safe for concurrent
// use.
type Node struct {
	journal   persistence.Journal
	upcasters *upcast.Chain
	decoder   *schema.Decoder
	system    *actors.System
	runner    *projections.Runner
	tasks     *lifecycle.Group

	stopTimeout time.Duration
}

// Start starts a node. It reports everything that is wrong with the configuration at
// once, and then leaves nothing running. It stores the descriptions of the program's
// types in the journal, and waits for that until ctx ends.
//
// Start refuses a program that would lose a part of what the journal holds, or could not
// read it, with an [*IncompatibleError], unless [Config.AcceptLoss] is set. Until then it
// has changed nothing but notes. It compares the descriptions that programs leave in the
// journal, as [schema.Catalogue.Check] does; when these name commands, it also reads the
// sent commands that are not delivered. An older program beside a newer one starts, and
// logs the types that it does not know.
//
// The first start on a journal counts the events, as [Check] does, and notes the result
// for later starts. When ctx ends before that, it fails with an [*UncheckedError]. Start
// logs a warning for parts of the configuration that can do nothing: events that nobody
// raises, kinds that nobody hosts.
func Start(ctx context.Context, config Config) (*Node, error) {
	config.Logger = usercode.Logger(config.Logger)
	node := &Node{journal: config.Journal, upcasters: config.Upcasters}
	hosting, reading := config.parts()
	reacting, missing := node.reactions(&config)
	reading.Projections = append(reacting, reading.Projections...)
	runner, problem := projections.New(reading)
	problem = persistence.Misconfigured(problem, missing, clashes(&config), config.check())
	var known *schema.Catalogue
	if problem == nil && config.Journal != nil {
		var unread error
		known, unread = config.checkStart(ctx)
		switch unread.(type) { //nolint:errorlint // as it was returned
		case *IncompatibleError, *UncheckedError:
			return nil, unread
		}
		problem = unread
	}
	system, err := actors.Open(ctx, hosting)
	if problem != nil && err == nil {
		err = system.Close(ctx)
	}
	if err = joined(err, problem); err != nil {
		return nil, err
	}
	config.warnIdle(ctx, known)
	node.stopTimeout = cmp.Or(config.StopTimeout, defaultStopTimeout)
	node.system, node.runner, node.decoder = system, runner, schema.NewDecoder(config.Journal)
	if len(reading.Projections) > 0 { // ended by Stop, and not by ctx
		node.tasks = lifecycle.Start(context.WithoutCancel(ctx), lifecycle.Component{Name: "projections", Run: runner.Run})
		node.tasks.OnFailure(func(err error) {
			config.Logger.Error("the projections have failed", slog.Any("err", err))
		})
	}
	return node, nil
}

// joined is one list of what is wrong with the parts of a configuration, unless one of
// them says something else: that the journal is away.
func joined(a, b error) error {
	for _, err := range []error{a, b} {
		if _, wrong := errors.AsType[*persistence.ConfigError](err); err != nil && !wrong {
			return errors.Join(a, b)
		}
	}
	return persistence.Misconfigured(a, b)
}

// clashes are names under which aggregates and projections store two Go types. Both see
// to their own.
func clashes(config *Config) error {
	var problems []error
	names, _ := actors.Names(config.Aggregates...)
	for _, projection := range config.Projections {
		if projection != nil {
			problems = append(problems, names.Check("projection "+projection.Name(), projections.Types(projection)...))
		}
	}
	return errors.Join(problems...)
}

// reactions are projections that deliver events to the aggregates that react.
func (n *Node) reactions(config *Config) (all []projections.Projection, missing error) {
	for _, reactions := range actors.ReactionsOf(config.Aggregates...) {
		if config.Checkpoints == nil {
			return nil, errors.New("aggregates react to events, and how far they have come is kept nowhere: " +
				"set Config.Checkpoints to a target of package projections/postgres or sqlite, or to new(projections.Books) for a journal in memory")
		}
		all = append(all, projections.React(reactor{reactions, n}, config.Checkpoints))
	}
	return all, nil
}

// reactor takes events to the aggregates of a node that is about to start.
type reactor struct {
	*actors.Reactions
	node *Node
}

// Take fulfils [projections.Reactor].
func (r reactor) Take(event *persistence.Recorded) (id string, react func(ctx context.Context, late bool) error, err error) {
	return r.Reactions.Take(r.node, event)
}

// Ask fulfils [actors.Asker]; programs call Ask on a command.
func (n *Node) Ask(ctx context.Context, request actors.Request) (any, error) {
	return n.system.Ask(ctx, request)
}

// Stats returns counters of the aggregates.
func (n *Node) Stats() actors.Stats { return n.system.Stats() }

// Parked lists the sent commands of the node's aggregates that are set aside (dead
// letters), see [actors.Parked].
func (n *Node) Parked() []actors.Parked { return n.system.Parked() }

// Retry tries an aggregate again after the cause of its trouble was removed; see
// [actors.System.Retry].
func (n *Node) Retry(kind, id string) bool { return n.system.Retry(kind, id) }

// Projections returns the runner of the node's projections, to wait for them, inspect and
// control them.
func (n *Node) Projections() *projections.Runner { return n.runner }

// Stop drains the node: it refuses new commands, decides, stores and answers those that
// it has taken, lets the projections finish their current event, and releases everything.
// It takes at most [Config.StopTimeout], and less when ctx has an earlier deadline that
// is still ahead. After that it answers the remaining commands as unavailable or unknown,
// and returns an error with their number. It may be called more than once.
//
// Stop drains also when ctx is cancelled or has ended, so that a program can pass the
// context whose end stops it.
//
//	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
//	defer cancel()
//	node, err := stele.Start(ctx, config)
//	…
//	defer node.Stop(ctx)
func (n *Node) Stop(ctx context.Context) error {
	ctx, cancel := draining(ctx, n.stopTimeout)
	defer cancel()
	err := n.system.Close(ctx)
	if n.tasks != nil {
		err = errors.Join(err, n.tasks.Stop(ctx))
	}
	return err
}

// errDrained is why the draining of a node ends before it is done.
var errDrained = errors.New("the time to stop is over, see Config.StopTimeout and the deadline of the context")

// draining returns the context that bounds a stop: of ctx it has the values, and the
// deadline if that lies ahead.
func draining(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc) {
	end := time.Now().Add(limit)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(end) && deadline.After(time.Now()) {
		end = deadline
	}
	return context.WithDeadlineCause(context.WithoutCancel(ctx), end, errDrained)
}
