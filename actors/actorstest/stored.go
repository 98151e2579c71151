package actorstest

import (
	"math"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// Sent is a command that an aggregate has sent, or a timer, see [WithSent].
type Sent struct {
	Kind, ID string // of the aggregate that gets it
	Command  string // the stored name of the command's type
	Payload  []byte // the command, encoded
	Due      time.Time
	Key      string // see [actors.Key]
}

// WithSent returns an event as the runtime stores it when the command that raised the
// event has sent these, and its aggregate has nothing else open. A test or a benchmark
// fills a journal with it. An event without a type becomes one of the system's own, which
// stands for a command that raised nothing.
func WithSent(event persistence.Event, sent ...Sent) persistence.Event {
	var sends []byte
	next := int64(math.MaxInt64)
	for _, s := range sent {
		due := s.Due.UnixMicro()
		next = min(next, due)
		sends = stored.AppendSent(sends, &stored.Sent{Kind: s.Kind, Id: s.ID, Command: s.Command, Payload: s.Payload, Due: due, Key: s.Key})
	}
	sends = stored.AppendOpen(sends, len(sent), next)
	if event.Type == "" {
		event.Type, event.Payload = stored.TypeSent, sends
		return event
	}
	event.Headers = stored.AppendSends(slices.Clip(event.Headers), sends)
	return event
}
