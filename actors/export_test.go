package actors

import (
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Bounds that tests count against.
const (
	MaxDepthCalls    = maxDepthCalls
	MaxDepthEvents   = maxDepthEvents
	MaxRecoveryQueue = maxRecoveryQueue
	RecoveryPage     = recoveryPage
	FirstPage        = recoveryFirstPage
	MaxRousing       = maxRousing
	MaxWakes         = maxWakes
)

// Passivate stops a live aggregate although it may be busy, as Close does. It
// reports false when there is none or it is stopping already.
func (s *System) Passivate(kind, id string) bool {
	k := key{s.definitions[kind], id}
	shard := s.directory.shard(k)
	shard.mu.Lock()
	a := shard.active[k]
	shard.mu.Unlock()
	return a != nil && s.passivate(a, func() bool { return true })
}

// Check is what Open says of a configuration.
func Check(config Config) error {
	s := &System{config: config, definitions: map[string]*definition{}}
	return s.check()
}

// Sent asks as the runtime does for a command that an aggregate has sent.
func Sent(id persistence.CommandID, born time.Time) AskOption {
	return func(r *Request) { r.identity = identity{id: id, class: sent, born: born} }
}

// OpenListOf is where a system of these kinds keeps lists of what is open.
func OpenListOf(kinds ...string) persistence.StreamID { return openListOf(kinds) }

// Journal is the one of the configuration.
func (s *System) Journal() persistence.Journal { return s.config.Journal }

// SentID is the id of a command that stands at a place of an event.
func SentID(stream persistence.StreamID, version persistence.Version, at int) persistence.CommandID {
	return sentID(stream, version, at)
}

// FillHistories leaves no room for what is looked for in the streams of aggregates.
func (s *System) FillHistories() { s.histories.Add(maxHistories) }

// Histories is how many commands are held for those that are looked for.
func (s *System) Histories() int { return int(s.histories.Load()) }

// Span and Spans are what a system has written.
type (
	Span  struct{ First, Last int64 }
	Spans spans
)

// Add adds a run.
func (s *Spans) Add(first, last int64) { (*spans)(s).add(span{first, last}) }

// Cover reports that a run is whole.
func (s Spans) Cover(after, upTo int64) bool { return spans(s).cover(after, upTo) }

// RefusalIn is the text of the rejection in the headers of an event.
func RefusalIn(headers []byte) (string, error) {
	var about stelev1.Headers
	err := proto.Unmarshal(headers, &about)
	return about.GetRejection().GetText(), err
}
