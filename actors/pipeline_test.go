package actors_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// step is one command of a random story, asked pause after the one before.
type step struct {
	Put
	read    bool
	version int // asked with IfVersion unless negative
	timeout time.Duration
	pause   time.Duration
}

// told is what became of it.
type told struct {
	step
	seen Seen
	err  error
}

// Random stories of one aggregate, on a journal with random faults: whatever
// fails at whatever depth, replies come in order and show only what is durable,
// each command has its effect once or surely not at all, and the state in memory
// is what the stream says.
func TestLongPipeline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rapid.Check(struct{ testing.TB }{t}, func(rt *rapid.T) { // whose Deadline no bubble allows
			faults := rapid.SliceOfN(rapid.Custom(drawFault), 0, 30).Draw(rt, "faults")
			inner, calm := new(memory.Journal), new(atomic.Bool)
			faulty := faultjournal.New(faultjournal.Config{Journal: inner, Append: func(_ *persistence.Append, n int) faultjournal.Fault {
				if calm.Load() || n > len(faults) {
					return faultjournal.Fault{Delay: time.Millisecond}
				}
				fault := faults[n-1]
				for i := range fault.Foreign {
					fault.Foreign[i] = foreign(fmt.Sprintf("theirs %d.%d", n, i))
				}
				return fault
			}})
			rt.Cleanup(func() { require.NoError(rt, faulty.Close()) })
			journal := persistence.Journal(faulty)
			if rapid.Bool().Draw(rt, "own queue") {
				journal = plain{faulty}
			}
			definition := lists()
			if rapid.IntRange(0, 4).Draw(rt, "strict") == 0 {
				definition = lists(actors.Strict[list]())
			}
			system, err := actors.Open(t.Context(), actors.Config{Journal: journal, Aggregates: []actors.Definition{definition}})
			require.NoError(rt, err)
			rt.Cleanup(func() { require.NoError(rt, system.Close(t.Context())) })

			story := tell(rt, system, inner, rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "steps"))

			time.Sleep(time.Minute) // back-offs, quarantines and zombies are over
			calm.Store(true)
			final, err := PutInto.Ask(rt.Context(), system, "a", Put{Tag: "final"})
			require.NoError(rt, err)
			live, err := GetOf.Ask(rt.Context(), system, "a", Get{})
			require.NoError(rt, err)
			events := stored(rt, inner, "a")
			require.Equal(rt, events, final.Tags, "the state in memory is what the stream says")
			require.Equal(rt, events, live.Tags)
			require.Zero(rt, system.Stats().InFlight)
			judge(rt, events, story)
		})
	})
}

func drawFault(rt *rapid.T) faultjournal.Fault {
	fault := faultjournal.Fault{Delay: time.Duration(rapid.IntRange(0, 5).Draw(rt, "delay")) * time.Millisecond}
	switch rapid.IntRange(0, 9).Draw(rt, "fault") {
	case 0:
		fault.Before = &persistence.UnavailableError{Reason: "a fault"}
	case 1:
		fault.Before = &persistence.UnavailableError{Reason: "a fault", Overloaded: true}
	case 2:
		fault.Lost = true
	case 3:
		fault.Zombie = time.Duration(rapid.IntRange(1, 20).Draw(rt, "zombie")) * time.Millisecond
	case 4, 5:
		fault.Foreign = make([]persistence.Event, rapid.IntRange(1, 3).Draw(rt, "foreign"))
	}
	return fault
}

func drawStep(rt *rapid.T) step {
	s := step{version: -1}
	switch rapid.IntRange(0, 15).Draw(rt, "what") {
	case 0, 1, 2:
		s.read = true
	case 3:
		s.Do = reject
	case 4:
		s.Do = rejectLate
	case 5:
		s.Do = rapid.SampledFrom([]deed{panics, panicsLate}).Draw(rt, "panic")
	case 6:
		s.Do = rapid.SampledFrom([]deed{raisesUnknown, raisesNil, raisesNaN}).Draw(rt, "mistake")
	case 7:
		s.Pad = persistence.MaxPayload
	case 8:
		s.version = rapid.IntRange(0, 20).Draw(rt, "version")
	case 9:
		s.timeout = time.Duration(rapid.IntRange(1, 8).Draw(rt, "timeout")) * time.Millisecond
	case 10:
		s.Events = persistence.MaxAppendEvents // fills the pipeline
	}
	if s.Events == 0 && rapid.Bool().Draw(rt, "several") {
		s.Events = rapid.IntRange(2, 4).Draw(rt, "events")
	}
	s.pause = time.Duration(max(0, rapid.IntRange(-4, 4).Draw(rt, "pause"))) * time.Millisecond
	return s
}

// tell asks the steps in order without waiting for answers, and returns what
// their callers were told. Whoever gets a reply looks at once whether it is
// durable.
func tell(rt *rapid.T, system *actors.System, journal persistence.Journal, steps []step) []told {
	answers := make([]chan told, len(steps))
	for i, s := range steps {
		s.Tag = fmt.Sprint(i)
		answers[i] = make(chan told, 1)
		go func() { // ends with the answer
			ctx := rt.Context()
			if s.timeout > 0 {
				bounded, cancel := context.WithTimeout(ctx, s.timeout)
				defer cancel()
				ctx = bounded
			}
			var options []actors.AskOption
			if s.version >= 0 {
				options = append(options, actors.IfVersion(persistence.Version(s.version)))
			}
			outcome := told{step: s}
			if s.read {
				outcome.seen, outcome.err = GetOf.Ask(ctx, system, "a", Get{})
			} else {
				outcome.seen, outcome.err = PutInto.Ask(ctx, system, "a", s.Put, options...)
			}
			if durable, err := history(rt.Context(), journal, "a"); outcome.err == nil && !isPrefix(outcome.seen.Tags, durable) {
				outcome.err = fmt.Errorf("shown %v, durable %v, %w", outcome.seen.Tags, durable, err)
			}
			answers[i] <- outcome
		}()
		synctest.Wait() // it is in the mailbox
		time.Sleep(s.pause)
	}
	story := make([]told, len(steps))
	for i := range answers {
		story[i] = <-answers[i]
	}
	return story
}

func isPrefix(short, long []string) bool {
	return len(short) <= len(long) && slices.Equal(short, long[:len(short)])
}

// judge compares what callers were told with what the stream says.
func judge(rt *rapid.T, history []string, story []told) {
	for i, tag := range history {
		require.Equal(rt, i, slices.Index(history, tag), "%s is stored twice", tag)
	}
	shown := []string{}
	for i, s := range story {
		about := fmt.Sprintf("step %d: %+v", i, s)
		at := slices.Index(history, s.tags()[0])
		if at >= 0 {
			require.Equal(rt, s.tags(), history[at:at+len(s.tags())], "all or nothing: "+about)
		}
		failed, ours := s.err.(*persistence.Error) //nolint:errorlint // the outermost must be it
		switch {
		case s.err == nil:
			require.True(rt, isPrefix(shown, s.seen.Tags), "%v was shown before %s", shown, about)
			shown = s.seen.Tags
			require.True(rt, isPrefix(shown, history), about)
			require.Equal(rt, well, s.Do, about)
			if s.read {
				require.Len(rt, shown, s.seen.Version, about)
				continue
			}
			require.Equal(rt, history[:at+len(s.tags())], shown, about)
			if s.version >= 0 {
				require.Equal(rt, s.version, at, about)
			}
		case errors.Is(s.err, errRejected):
			require.Contains(rt, []deed{reject, rejectLate}, s.Do, about)
			require.Negative(rt, at, about)
		default:
			require.True(rt, ours, about)
			require.NotZero(rt, failed.Command, about)
			if failed.Kind != persistence.ErrUnknownOutcome {
				require.Negative(rt, at, "surely not done: "+about)
			}
			if failed.Kind == persistence.ErrInvalid {
				require.True(rt, s.Pad > 0 || slices.Contains([]deed{raisesUnknown, raisesNil, raisesNaN}, s.Do), about)
			}
		}
	}
}
