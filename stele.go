package stele

import (
	"context"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/schema"
)

// Aggregates are the definitions that a node hosts.
type Aggregates []actors.Definition

// Config says what a node consists of. Only Journal and Aggregates are required.
type Config struct {
	// Journal stores the events. Who opened it closes it, after [Node.Stop].
	Journal persistence.Journal
	// Aggregates are hosted on this node.
	Aggregates Aggregates
	// Runtime bounds the aggregates: mailboxes, memory, time-outs, the logger. Its
	// Journal and Aggregates are taken from above.
	Runtime actors.Config
}

// Node is a running system. It fulfils [actors.Asker] and is safe for concurrent
// use.
type Node struct{ system *actors.System }

// Start starts a node. Everything that is wrong with the configuration is
// reported at once, and nothing is left running then. It waits for the journal,
// which is told what the events look like, until ctx is done.
func Start(ctx context.Context, config Config) (*Node, error) {
	config.Runtime.Journal, config.Runtime.Aggregates = config.Journal, config.Aggregates
	system, err := actors.Open(ctx, config.Runtime)
	if err != nil {
		return nil, err
	}
	return &Node{system: system}, nil
}

// Check compares the events that the aggregates of a configuration know with those
// that its journal holds, and returns every change that they would suffer from:
// see [schema.Check]. It needs no node, and changes nothing.
func Check(ctx context.Context, config Config) ([]schema.Finding, error) {
	return schema.Check(ctx, config.Journal, schema.Program{
		Events: actors.Events(config.Aggregates...), Upcasters: config.Runtime.Upcasters,
	})
}

// Ask fulfils [actors.Asker]; programs call Ask on a command.
func (n *Node) Ask(ctx context.Context, request actors.Request) (any, error) {
	return n.system.Ask(ctx, request)
}

// Stats returns counters of the aggregates.
func (n *Node) Stats() actors.Stats { return n.system.Stats() }

// Stop drains the node: it refuses new commands, decides and stores those it has
// taken, answers them and releases everything. When ctx ends first it answers
// the rest as unavailable or unknown and returns an error that says how many.
// It may be called more than once.
func (n *Node) Stop(ctx context.Context) error { return n.system.Close(ctx) }
