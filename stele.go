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

// Start starts a node. Everything that is wrong with the configuration is
// reported at once, and nothing is left running then. It waits for the journal,
// which is told what the events look like, until ctx is done.
//
// A program that would lose something of what the journal holds, or could not read it,
// is refused with an [*IncompatibleError] before it has changed anything but notes, unless
// [Config.AcceptLoss] says otherwise. That is found in the descriptions that programs
// leave in the journal, as [schema.Catalogue.Check] says, and only when these speak of
// commands, in what is still to be delivered; an older program beside a newer
// one starts, and logs what it does not know. The first start on a journal counts the events
// that it holds, as [Check] does, and notes what it has found, so that no later one has
// to; when ctx ends before, it fails with an [*UncheckedError]. What is configured and can do nothing is
// logged as a warning: events that nobody raises, kinds that nobody hosts.
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

// Parked lists what aggregates of the node have sent and what is set aside; see
// [actors.Parked].
func (n *Node) Parked() []actors.Parked { return n.system.Parked() }

// Retry has an aggregate tried again whose cause of trouble is mended; see
// [actors.System.Retry].
func (n *Node) Retry(kind, id string) bool { return n.system.Retry(kind, id) }

// Projections is what the projections of the node are waited for, looked at and
// controlled by.
func (n *Node) Projections() *projections.Runner { return n.runner }

// Stop drains the node: it refuses new commands, decides and stores those it has
// taken, answers them, lets the projections finish their event in hand, and releases
// everything. That may take [Config.StopTimeout], or until the deadline of ctx if that
// is ahead and comes sooner. Then it answers the rest as unavailable or unknown and
// returns an error that says how many. It may be called more than once.
//
// That ctx is cancelled, or has ended, is no reason to drop what was taken: a program
// stops its node because its context has ended, so it may pass that.
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
