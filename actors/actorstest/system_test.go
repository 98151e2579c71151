package actorstest_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/wrapperspb"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

// A thermometer knows the last temperature and when it was taken.
type (
	thermometer struct {
		degrees int64
		at      time.Time
	}
	Reading struct {
		Degrees int64
		At      time.Time
	}
)

func (Reading) MessageName() string { return "test.reading" }

var (
	Measure = actors.NewCommand[*wrapperspb.Int64Value, Reading]("thermometer")

	Thermometers = actors.Define("thermometer",
		actors.Handle(Measure, (*thermometer).measure), actors.On((*thermometer).measured))
)

func (m *thermometer) measure(tx *actors.Tx, degrees *wrapperspb.Int64Value) (Reading, error) {
	tx.Raise(Reading{degrees.Value, tx.Now()})
	return Reading{m.degrees, m.at}, nil
}

func (m *thermometer) measured(r Reading) { m.degrees, m.at = r.Degrees, r.At }

func TestSystem(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UTC()
		system := actorstest.Start(t, Thermometers)
		require.Empty(t, system.Events("thermometer-a"))
		_, err := Measure.Ask(t.Context(), system, "a", wrapperspb.Int64(7))
		require.NoError(t, err)
		time.Sleep(time.Hour)
		require.Zero(t, system.Stats().Active, "an hour is long enough to leave")

		system.Restart()

		require.Zero(t, system.Stats().Recoveries)
		reading, err := Measure.Ask(t.Context(), system, "a", wrapperspb.Int64(8))
		require.NoError(t, err)
		require.Equal(t, Reading{8, began.Add(time.Hour)}, reading)
		require.EqualValues(t, 1, system.Stats().Recoveries)
		outcomes, err := system.Journal().Append(t.Context(), persistence.Append{
			Stream: "thermometer-a", Expected: persistence.Any, Events: []persistence.Event{{Type: "$stele.receipt"}},
		})
		require.NoError(t, err)
		require.NoError(t, outcomes[0].Err)
		require.Equal(t, []any{Reading{7, began}, Reading{8, began.Add(time.Hour)}}, system.Events("thermometer-a"))
	})
}

// The journal may be another, and then stays open.
func TestOwnJournal(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	t.Run("system", func(t *testing.T) {
		system := actorstest.StartWith(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{Thermometers}})
		_, err := Measure.Ask(t.Context(), system, "a", wrapperspb.Int64(7))
		require.NoError(t, err)
		require.Equal(t, persistence.Journal(journal), system.Journal())
	})
	info, err := journal.Stream(t.Context(), "thermometer-a")
	require.NoError(t, err)
	require.EqualValues(t, 1, info.Version)
}

func TestInProperties(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		degrees := rapid.Int64().Draw(t, "degrees")
		system := actorstest.Start(t, Thermometers)
		reading, err := Measure.Ask(t.Context(), system, "a", wrapperspb.Int64(degrees))
		require.NoError(t, err)
		require.Equal(t, degrees, reading.Degrees)
	})
}

// failing is a test that remembers why it was stopped.
type failing struct {
	testing.TB
	said string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func TestFailures(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		gate := make(chan struct{})
		journal := faultjournal.New(faultjournal.Config{
			Journal: new(memory.Journal),
			Append: func(a *persistence.Append, _ int) faultjournal.Fault {
				if a.Stream == "thermometer-stuck" {
					return faultjournal.Fault{Until: gate}
				}
				return faultjournal.Fault{}
			},
			Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
				if stream == "thermometer-broken" {
					return faultjournal.ReadFault{Err: persistence.ErrUnavailable}
				}
				return faultjournal.ReadFault{}
			},
		})
		system := new(actorstest.System)
		f := &failing{TB: t}
		running := actors.Config{Journal: journal, Aggregates: []actors.Definition{Thermometers}, AskTimeout: time.Hour}
		said := func(test func()) string {
			done := make(chan struct{})
			go func() { // ends with the test
				defer close(done)
				test()
			}()
			<-done
			return f.said
		}

		require.Contains(t, said(func() { actorstest.Start(f) }), "start the system: invalid configuration: no aggregates")
		said(func() { system = actorstest.StartWith(f, running) })
		outcomes, err := journal.Append(t.Context(),
			persistence.Append{Stream: "thermometer-odd", Events: []persistence.Event{{Type: "odd"}}},
			persistence.Append{Stream: "other-odd", Events: []persistence.Event{{Type: "odd"}}})
		require.NoError(t, err)
		require.NoError(t, outcomes[1].Err)
		require.Contains(t, said(func() { system.Events("thermometer-odd") }), "decode version 1 of thermometer-odd: corrupt")
		require.Contains(t, said(func() { system.Events("other-odd") }), `no aggregate of kind "other" is defined here`)
		require.Contains(t, said(func() { system.Events("thermometer-broken") }), "read thermometer-broken: unavailable")
		answered := make(chan error, 1)
		go func() { // ends with the answer
			_, err := Measure.Ask(t.Context(), system, "stuck", wrapperspb.Int64(7))
			answered <- err
		}()
		synctest.Wait()
		require.Contains(t, said(system.Stop), "stop the system: close with 1 commands unanswered")
		require.ErrorIs(t, <-answered, persistence.ErrUnknownOutcome)
		close(gate)
		require.NoError(t, journal.Close())
	})
}

// example stands for the *testing.T that a test has.
type example struct{ cleanups []func() }

func (*example) Helper()                           {}
func (*example) Fatalf(format string, args ...any) { log.Fatalf(format, args...) }
func (e *example) Cleanup(f func())                { e.cleanups = append(e.cleanups, f) }
func (*example) Context() context.Context          { return context.Background() } //nolint:forbidigo // there is no test

func ExampleStart() {
	t := new(example) // t *testing.T
	system := actorstest.Start(t, Thermometers)

	for _, degrees := range []int64{18, 21} {
		if _, err := Measure.Ask(t.Context(), system, "roof", wrapperspb.Int64(degrees)); err != nil {
			t.Fatalf("measure: %v", err)
		}
	}
	system.Restart()

	for _, event := range system.Events("thermometer-roof") {
		fmt.Println(event.(Reading).Degrees)
	}
	for _, cleanup := range t.cleanups {
		cleanup()
	}
	// Output:
	// 18
	// 21
}
