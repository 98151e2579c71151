package stele

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Health is the state of a node, with reasons.
type Health struct {
	// Level is the worst of all parts.
	Level persistence.Level `json:"level"`
	// Parts are the parts that were examined: the journal, the aggregates, and each
	// projection.
	Parts []PartHealth `json:"parts"`
}

// PartHealth is the state of a part of a node.
type PartHealth struct {
	// Part is the name of the part, which never changes: "journal", those of
	// [actors.System.Health], and "projection balances@1".
	Part string `json:"part"`
	// Level says how much attention the part needs.
	Level persistence.Level `json:"level"`
	// Reason says in words why the part is not green.
	Reason string `json:"reason,omitempty"`
}

// String returns the level, and the parts that are not green.
func (h Health) String() string {
	words := []string{h.Level.String()}
	for _, part := range h.Parts {
		if part.Level != persistence.Green {
			words = append(words, fmt.Sprintf("%s is %s: %s", part.Part, part.Level, part.Reason))
		}
	}
	return strings.Join(words, "; ")
}

func (h *Health) add(part string, level persistence.Level, reason string) {
	h.Parts = append(h.Parts, PartHealth{part, level, reason})
	h.Level = max(h.Level, level)
}

// Bounds of asking, when a caller gives more time.
const (
	journalTime = 2 * time.Second // for a journal to say where it ends
	healthTime  = 5 * time.Second // for all
)

// Health returns the state of the node, for operators and their alerts. It asks the
// journal for its head and the stores for the progress of the projections, and answers
// within five seconds whatever hangs. A fault of an aggregate or a projection is a fault
// on every node; ask [Node.Ready] whether this node should get work.
func (n *Node) Health(ctx context.Context) Health {
	ctx, cancel := context.WithTimeoutCause(ctx, healthTime, errSlow)
	defer cancel()
	var h Health
	if err := n.reachable(ctx); err != nil {
		h.add("journal", persistence.Red, err.Error())
	} else {
		h.add("journal", persistence.Green, "")
	}
	for _, part := range n.system.Health() {
		h.add(part.Part, part.Level, part.Reason)
	}
	for _, projection := range n.runner.Health(ctx) {
		h.add(fmt.Sprintf("projection %s@%d", projection.Name, projection.Version), projection.Level, projection.Reason)
	}
	return h
}

// Ready returns nil when the node can take work: it is not stopping, and the journal
// answers within two seconds, or until ctx ends. Use it for a readiness probe. A fault
// that other nodes have too, such as a failed projection, does not make a node unready;
// see [Node.Health]. A liveness probe should ask nothing of the node, because a restart
// mends none of these faults.
//
// Ready says nothing about projections. A projection in memory is empty after a start
// until it has caught up: wait for [projections.Runner.CatchUp] of [Node.Projections]
// before you serve requests.
func (n *Node) Ready(ctx context.Context) error {
	if n.system.Closing() {
		return &persistence.UnavailableError{Reason: "the node is stopping"}
	}
	return n.reachable(ctx)
}

var errSlow = errors.New("there is no answer in time")

func (n *Node) reachable(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, journalTime, errSlow)
	defer cancel()
	_, err := n.journal.Head(ctx)
	return err
}
