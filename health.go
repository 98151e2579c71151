package stele

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Health says how a node is, and why.
type Health struct {
	// Level is the worst of all parts.
	Level persistence.Level `json:"level"`
	// Parts are what was looked at: the journal, what the aggregates do, and each
	// projection.
	Parts []PartHealth `json:"parts"`
}

// PartHealth says how a part of a node is.
type PartHealth struct {
	// Part names it, the same way every time: "journal", those that
	// [actors.System.Health] names, and "projection balances@1".
	Part string `json:"part"`
	// Level is how much it wants attention.
	Level persistence.Level `json:"level"`
	// Reason says in words why it is not green.
	Reason string `json:"reason,omitempty"`
}

// String is the level, and what is not green.
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

// Health says how the node is, for operators and what wakes them. It asks the journal
// where it ends and the stores of the projections how far these are, and answers within
// five seconds whatever hangs. What is wrong with one aggregate or one projection is wrong on
// every node: it is for [Node.Ready] to say whether this one should get work.
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

// Ready returns nil when the node can be given work: it is not stopping, and the journal
// answers within two seconds, or until ctx is done. It is what a readiness probe asks.
// What another node would suffer from as well, such as a projection that has failed, is
// no reason to take work from this one: see [Node.Health]. Nor is it one to start a
// process anew: a liveness probe should ask nothing of the node.
//
// It says nothing of projections. One in memory is empty after a start until it has caught
// up: wait for [projections.Runner.CatchUp] of [Node.Projections] before requests are served.
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
