package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// The domain of these tests: a list remembers the tags that were put into it, so
// that a lost, doubled or premature event shows, and does what a command wants
// it to do wrong.
type (
	Put struct {
		Tag string
		// Events is how many events are raised, 1 when it is 0.
		Events int
		Do     deed
		// Pad makes the events so many bytes longer.
		Pad int
	}
	Get  struct{}
	Seen struct {
		Tags    []string
		Version int
	}
	Kept struct {
		Tag   string
		Pad   string
		Float float64
	}
	Unknown struct{}

	list struct{ tags []string }
)

func (Put) MessageName() string     { return "test.put" }
func (Get) MessageName() string     { return "test.get" }
func (Seen) MessageName() string    { return "test.seen" }
func (Kept) MessageName() string    { return "test.kept" }
func (Unknown) MessageName() string { return "test.unknown" }

// deed is how a handler behaves.
type deed string

const (
	well          deed = ""
	reject        deed = "reject"
	rejectLate    deed = "reject after raise"
	panics        deed = "panic"
	panicsLate    deed = "panic after raise"
	raisesUnknown deed = "event without On"
	raisesNil     deed = "nil event"
	raisesNaN     deed = "event that cannot be encoded"
	exits         deed = "end the goroutine"
)

var (
	errRejected = errors.New("no")

	PutInto = actors.NewCommand[Put, Seen]("list")
	GetOf   = actors.NewCommand[Get, Seen]("list")
)

// lists defines the aggregates of the domain, with more parts if need be.
func lists(more ...actors.Part[list]) *actors.Aggregate[list] {
	return actors.Define("list", append([]actors.Part[list]{
		actors.Handle(PutInto, (*list).put), actors.Handle(GetOf, (*list).get), actors.On((*list).kept),
	}, more...)...)
}

// watched defines them with a look at every Put before it is decided.
func watched(look func(tx *actors.Tx, c Put), more ...actors.Part[list]) *actors.Aggregate[list] {
	return actors.Define("list", append([]actors.Part[list]{
		actors.Handle(PutInto, func(l *list, tx *actors.Tx, c Put) (Seen, error) {
			look(tx, c)
			return l.put(tx, c)
		}),
		actors.Handle(GetOf, (*list).get), actors.On((*list).kept),
	}, more...)...)
}

func (l *list) put(tx *actors.Tx, c Put) (Seen, error) {
	switch c.Do {
	case reject:
		return Seen{}, errRejected
	case panics:
		panic("secret " + c.Tag)
	case raisesUnknown:
		tx.Raise(Unknown{})
	case raisesNil:
		tx.Raise(nil)
	case raisesNaN:
		tx.Raise(Kept{Tag: c.Tag}, Kept{Tag: c.Tag, Float: math.NaN()})
	case exits:
		runtime.Goexit()
	}
	for _, tag := range c.tags() {
		tx.Raise(Kept{Tag: tag, Pad: strings.Repeat("x", c.Pad)})
	}
	switch c.Do {
	case rejectLate:
		return Seen{}, errRejected
	case panicsLate:
		panic("secret " + c.Tag)
	}
	return l.seen(int(tx.Version) + max(c.Events, 1)), nil
}

// tags are those of the events that a command raises when it goes well.
func (c Put) tags() []string {
	if c.Events <= 1 {
		return []string{c.Tag}
	}
	tags := make([]string, c.Events)
	for i := range tags {
		tags[i] = fmt.Sprintf("%s.%d", c.Tag, i)
	}
	return tags
}

func (l *list) get(tx *actors.Tx, _ Get) (Seen, error) { return l.seen(int(tx.Version)), nil }
func (l *list) kept(e Kept)                            { l.tags = append(l.tags, e.Tag) }

// seen copies, because the reply is the caller's.
func (l *list) seen(version int) Seen {
	return Seen{Tags: append([]string{}, l.tags...), Version: version}
}

// open starts a system on a journal in memory unless the configuration says
// otherwise, and closes it at the end of the test.
func open(t *testing.T, config actors.Config) *actors.System {
	t.Helper()
	if config.Journal == nil {
		config.Journal = new(memory.Journal)
	}
	if config.Aggregates == nil {
		config.Aggregates = []actors.Definition{lists()}
	}
	system, err := actors.Open(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(func() { shut(t, system) })
	return system
}

// shut closes a system as a program would: with a bound.
func shut(t *testing.T, system *actors.System) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), time.Minute)
	defer cancel()
	require.NoError(t, system.Close(ctx))
}

// faulty opens a journal with faults over one in memory, and closes it at the
// end of the test.
func faulty(t *testing.T, config faultjournal.Config) *faultjournal.Journal {
	t.Helper()
	if config.Journal == nil {
		config.Journal = new(memory.Journal)
	}
	journal := faultjournal.New(config)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })
	return journal
}

// answer is what a caller got.
type answer struct {
	Seen
	err error
	at  time.Time
}

// put asks in the background and gives the answer to the channel.
func put(ctx context.Context, to actors.Asker, id string, c Put, options ...actors.AskOption) <-chan answer {
	answered := make(chan answer, 1)
	go func() { // ends with the answer
		seen, err := PutInto.Ask(ctx, to, id, c, options...)
		answered <- answer{seen, err, time.Now()}
	}()
	return answered
}

// tester is a test, or a part of one that package rapid repeats.
type tester interface {
	require.TestingT
	Context() context.Context
}

// stored are the tags of a list in the journal.
func stored(t tester, journal persistence.Reader, id string) []string {
	tags, err := history(t.Context(), journal, id)
	require.NoError(t, err)
	return tags
}

func history(ctx context.Context, journal persistence.Reader, id string) ([]string, error) {
	tags := []string{}
	for recorded, err := range journal.Read(ctx, persistence.StreamID("list-"+id), persistence.ReadOptions{}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			break
		}
		if err == nil && strings.HasPrefix(recorded.Type, "$") {
			continue
		}
		var event Kept
		if err = errors.Join(err, json.Unmarshal(recorded.Payload, &event)); err != nil {
			return nil, err
		}
		tags = append(tags, event.Tag)
	}
	return tags, nil
}

// seed puts tags into a list behind the system's back.
func seed(t *testing.T, journal persistence.Journal, id string, tags ...string) {
	t.Helper()
	for _, tag := range tags {
		outcomes, err := journal.Append(t.Context(), persistence.Append{
			Stream: persistence.StreamID("list-" + id), Expected: persistence.Any, Events: []persistence.Event{foreign(tag)},
		})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
	}
}

// foreign is an event as another writer would store it.
func foreign(tag string) persistence.Event {
	return persistence.Event{Type: Kept{}.MessageName(), Payload: []byte(`{"Tag":"` + tag + `"}`)}
}

// failure is the runtime's error in an answer, which must be one.
func failure(t require.TestingT, err error) *persistence.Error {
	failed, ok := err.(*persistence.Error) //nolint:errorlint // the outermost must be it
	require.True(t, ok, "want an error of the runtime, got %T: %v", err, err)
	return failed
}
