package actors_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/actors/actorstest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// fuse is where user code does not return: in the place that is armed, each time.
type fuse struct {
	place atomic.Pointer[string]
	exit  bool
	burnt atomic.Int64
}

func (f *fuse) arm(place string) { f.place.Store(&place) }

func (f *fuse) at(place string) {
	if armed := f.place.Load(); armed == nil || *armed != place {
		return
	}
	f.burnt.Add(1)
	if f.exit {
		runtime.Goexit()
	}
	panic("secret")
}

// live is what methods of messages burn, which nobody can hand a fuse: each test has its
// own by the text that it puts into them.
var fuses atomic.Pointer[map[string]*fuse]

// Wild is a message that encodes and decodes itself.
type Wild struct{ Tag string }

func (Wild) MessageName() string { return "test.wild" }

func (w Wild) fuse(place string) {
	if all := fuses.Load(); all != nil {
		if name, _, found := strings.Cut(w.Tag, ":"); found && (*all)[name] != nil {
			(*all)[name].at(place)
		}
	}
}

func (w Wild) MarshalJSON() ([]byte, error) {
	w.fuse("encode")
	return json.Marshal(struct{ Tag string }{w.Tag})
}

func (w *Wild) UnmarshalJSON(data []byte) error {
	var plain struct{ Tag string }
	if err := json.Unmarshal(data, &plain); err != nil {
		return err
	}
	w.Tag = plain.Tag
	w.fuse("decode")
	return nil
}

// wilds are aggregates that run user code wherever there may be some. They send to each
// other.
type wild struct{ Tags []string }

var (
	PutWild  = actors.NewCommand[Wild, Wild]("wild")
	SendWild = actors.NewCommand[Tell, Seen]("wild")
)

type wildError struct{ f *fuse }

func (e wildError) Error() string {
	e.f.at("text of an error")
	return "wild"
}

func wilds(f *fuse) *actors.Aggregate[wild] {
	return actors.Define("wild",
		actors.Handle(PutWild, func(w *wild, tx *actors.Tx, c Wild) (Wild, error) {
			f.at("handler")
			if strings.HasSuffix(c.Tag, "refuse") {
				return Wild{}, wildError{f}
			}
			tx.Raise(Kept{Tag: c.Tag})
			return c, nil
		}),
		actors.Handle(SendWild, func(_ *wild, tx *actors.Tx, c Tell) (Seen, error) {
			PutWild.Send(tx, c.List, Wild{c.Put.Tag})
			return Seen{}, nil
		}),
		actors.Result(PutWild, func(_ *wild, tx *actors.Tx, reply Wild, err error) error {
			f.at("result")
			tx.Raise(Kept{Tag: fmt.Sprint("heard ", reply.Tag, err != nil)})
			return nil
		}),
		actors.On(func(w *wild, e Kept) {
			f.at("on")
			w.Tags = append(w.Tags, e.Tag)
		}),
		actors.SnapshotWhen(func(*wild, int) bool { f.at("snapshot when"); return true }),
		actors.SnapshotAs(func(w *wild) Seen { f.at("snapshot save"); return Seen{Tags: w.Tags} },
			func(s Seen) *wild { f.at("snapshot load"); return &wild{s.Tags} }),
	)
}

// Whatever user code does wherever it runs, whoever asks gets an answer with a type in
// time, unless it was the own goroutine that was ended; everything else goes on, and the
// system closes.
func TestUserCodeThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	all := map[string]*fuse{}
	places := []string{
		"handler", "on", "result", "around", "enrich", "command id", "snapshot when", "snapshot save", "snapshot load",
		"encode", "decode", "upcaster", "text of an error",
	}
	for i := range places {
		for _, exit := range []bool{false, true} {
			all[fmt.Sprint(i, exit)] = &fuse{exit: exit}
		}
	}
	fuses.Store(&all)
	for i, place := range places {
		for _, exit := range []bool{false, true} {
			name := fmt.Sprint(i, exit)
			t.Run(fmt.Sprintf("%s exits %t", place, exit), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { burn(t, all[name], name, place) })
			})
		}
	}
}

func burn(t *testing.T, f *fuse, name, place string) {
	t.Helper()
	journal := new(memory.Journal)
	upcasters, err := upcast.New(upcast.Upcaster{
		From: "test.kept.old", To: []string{"test.kept"},
		Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			f.at("upcaster")
			raw.Type = "test.kept"
			return []upcast.Raw{raw}, nil
		},
	})
	require.NoError(t, err)
	config := actors.Config{
		Journal: journal, Aggregates: []actors.Definition{wilds(f), lists()}, Recoveries: 1, Idle: 10 * time.Second, Upcasters: upcasters,
		Enrich: func(context.Context) persistence.Metadata { f.at("enrich"); return nil },
		NewCommandID: func() persistence.CommandID {
			f.at("command id")
			return persistence.CommandID(persistence.NewEventID())
		},
	}
	if place == "around" {
		config.Around = []actors.Around{actors.Guard(func(context.Context, actors.Asked) error { f.at("around"); return nil })}
	}
	system, err := actors.Open(t.Context(), config)
	require.NoError(t, err)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), 10*time.Second)
		defer cancel()
		require.NoError(t, system.Close(ctx))
		require.Zero(t, system.Stats().InFlight)
	}()
	for _, id := range []string{"a", "b", "c"} {
		_, err := PutWild.Ask(t.Context(), system, id, Wild{name + ":first"}, actors.Once("first"))
		require.NoError(t, err)
	}
	<-time.After(time.Minute) // they leave memory
	_, err = SendWild.Ask(t.Context(), system, "b", Tell{List: "c", Put: Put{Tag: name + ":sent"}})
	require.NoError(t, err)

	store(t, journal, "wild-a", persistence.Event{Type: "test.kept.old", Payload: []byte(`{}`)})

	f.arm(place)
	for _, tag := range []string{"first", "second", "refuse"} {
		for range 3 {
			requireTyped(t, f, tag, func() error {
				_, err := PutWild.Ask(t.Context(), system, "a", Wild{name + ":" + tag}, actors.Once(tag))
				return err
			})
		}
	}
	requireTyped(t, f, "send", func() error {
		_, err := SendWild.Ask(t.Context(), system, "b", Tell{List: "c", Put: Put{Tag: name + ":refuse"}})
		return err
	})
	<-time.After(time.Minute)
	require.Positive(t, f.burnt.Load(), "nothing was burnt")
	f.arm("")
	<-time.After(time.Hour) // quarantine, backoff and waits are over

	seen, err := PutInto.Ask(t.Context(), system, "l", Put{Tag: "x"})
	require.NoError(t, err)
	require.Equal(t, []string{"x"}, seen.Tags)
	for _, id := range []string{"a", "b", "c"} {
		_, err = PutWild.Ask(t.Context(), system, id, Wild{name + ":last"}, actors.Once("last"))
		require.NoError(t, err)
	}
}

// requireTyped asks on a goroutine of its own, which user code may end.
func requireTyped(t *testing.T, f *fuse, what string, ask func() error) {
	t.Helper()
	ended := errors.New("the goroutine was ended")
	result := make(chan error, 1)
	asked := time.Now()
	go func() { // awaited below
		err := ended
		defer func() { result <- err }()
		err = ask()
	}()
	err := <-result
	require.Less(t, time.Since(asked), 11*time.Second, what)
	if err == ended { //nolint:errorlint // ours
		require.True(t, f.exit)
		return
	}
	if err == nil {
		return
	}
	if _, own := errors.AsType[wildError](err); own {
		return
	}
	if _, stored := errors.AsType[*actors.RejectedError](err); stored {
		return
	}
	require.NotEqual(t, persistence.ErrUnknownOutcome, failure(t, err).Kind, "%s: %v", what, err)
	require.NotContains(t, err.Error(), "secret")
}

// What a panic says stays out of errors and logs, where anybody may read it, unless the
// configuration wants it or it is the Go runtime that says it.
func TestValuesOfPanics(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		what any
		show bool
		says string
	}{
		"hidden":               {"of ann", false, "panicked with a string"},
		"hidden error":         {errors.New("of ann"), false, "panicked with a *errors.errorString"},
		"shown":                {"of ann", true, "panicked with a string: of ann"},
		"of the Go runtime":    {nil, false, "panicked with a runtime.boundsError: runtime error: index out of range [3] with length 0"},
		"of the runtime shown": {nil, true, "index out of range [3] with length 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log records
			system := open(t, actors.Config{
				Journal: new(memory.Journal), ShowPanics: c.show, Logger: log.logger(),
				Aggregates: []actors.Definition{watched(func(*actors.Tx, Put) {
					if c.what != nil {
						panic(c.what)
					}
					var none []int
					_ = none[len(t.Name())*0+3]
				})},
			})

			_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})

			require.ErrorContains(t, err, c.says)
			require.Contains(t, log.text(), c.says)
			require.Contains(t, log.text(), "usercode_test.go") // where it came from
			if !c.show {
				require.NotContains(t, err.Error()+log.text(), "of ann")
			}
		})
	}
}

// An outcome whose Result ends the goroutine is parked as one whose Result panics.
func TestResultThatExitsIsParked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := actorstest.Start(t, lists(), clocks(actors.Result(PutInto, func(*clock, *actors.Tx, Seen, error) error {
			runtime.Goexit()
			return nil
		})))
		_, err := TellClock.Ask(t.Context(), system, "a", Tell{List: "l", Put: Put{Tag: "x"}})
		require.NoError(t, err)

		<-time.After(2 * time.Hour)

		require.Len(t, system.Parked(), 1)
		require.ErrorContains(t, system.Parked()[0].Cause, "runtime.Goexit")
	})
}

// A timer cannot be set for a time that was before.
func TestNegativeDelayIsRefused(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{clocks(actors.Sends[clock]())}})

	_, err := ArmClock.Ask(t.Context(), system, "a", Arm{Name: "x", Delay: -time.Nanosecond})

	require.Equal(t, persistence.ErrInvalid, failure(t, err).Kind)
	require.ErrorContains(t, err, "delay is negative: for a time that may have passed take max(delay, 0)")
}
