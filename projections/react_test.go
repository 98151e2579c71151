package projections_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

// listener is a reactor that notes what it hears. An event goes to the key that is
// its stream's id; what to do about it the test says.
type listener struct {
	do   func(key string, n int) error
	look func(n int) // looks at an event, if set

	mu    sync.Mutex // protects the rest
	heard map[string]string
	now   map[string]bool
}

func (l *listener) Name() string    { return "listener" }
func (l *listener) Types() []string { return []string{"added"} }

func (l *listener) Take(event *persistence.Recorded) (string, func(context.Context, bool) error, error) {
	var message added
	if err := json.Unmarshal(event.Payload, &message); err != nil {
		return "", nil, err
	}
	if l.look != nil {
		l.look(message.N)
	}
	if message.N == 13 {
		panic("unlucky")
	}
	if message.N == 0 {
		return "", nil, nil
	}
	_, key, _ := strings.Cut(string(event.Stream), "-")
	return key, func(_ context.Context, late bool) error {
		l.enter(key)
		defer l.leave(key)
		if err := l.do(key, message.N); err != nil {
			return err
		}
		l.hear(key, fmt.Sprintf("%d%s", message.N, map[bool]string{true: "late"}[late]))
		return nil
	}, nil
}

// enter fails the test when two events of one key are on their way.
func (l *listener) enter(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.now[key] {
		panic("two at a time for " + key)
	}
	l.now[key] = true
}

func (l *listener) leave(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.now, key)
}

func (l *listener) hear(key, what string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard[key] = strings.TrimSpace(l.heard[key] + " " + what)
}

func (l *listener) said(key string) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.heard[key]
}

func (w world) listen(do func(key string, n int) error) (*listener, *projections.Runner, func()) {
	w.t.Helper()
	l := &listener{do: do, heard: map[string]string{}, now: map[string]bool{}}
	runner, stop := w.run(projections.Config{}, projections.React(l, new(projections.Books)))
	return l, runner, stop
}

// Keys do not wait for each other, and each gets its events one after the other.
func TestReactSideBySide(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		for i := range 100 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i)), 1, 0, 2)
		}
		began := time.Now()
		l, runner, _ := w.listen(func(string, int) error {
			<-time.After(time.Second)
			return nil
		})
		w.waitFor(runner, "listener", persistence.Position{Offset: 300})

		require.Equal(t, 2*time.Second, time.Since(began))
		for i := range 100 {
			require.Equal(t, "1 2", l.said(fmt.Sprint(i)))
		}
	})
}

// What fails is set aside by its key; what cannot be looked at by its stream; a part
// that is away is waited for, and nothing is set aside for that.
func TestReactFailures(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		broken, away := true, true
		l, runner, _ := w.listen(func(key string, n int) error {
			switch {
			case key == "x" && n == 2 && broken:
				return errBroken
			case key == "y" && away:
				return &persistence.UnavailableError{Reason: "away"}
			}
			return nil
		})
		w.add("a-x", 1, 2, 3)
		w.add("a-z", 1, 13, 2)
		w.add("a-y", 1)
		last := w.add("a-z", 3)
		<-time.After(time.Hour)
		settle()

		require.Equal(t, "1", l.said("x"))
		require.Contains(t, l.said("z"), "1 2")
		info, err := runner.Info(t.Context(), "listener")
		require.NoError(t, err)
		require.Equal(t, projections.Waiting, info.Status)
		away = false
		w.waitFor(runner, "listener", last)
		require.Equal(t, "1", l.said("y"))
		parked, err := runner.Parked(t.Context(), "listener", persistence.Position{}, 0)
		require.NoError(t, err)
		lanes := map[string]int{}
		for _, p := range parked {
			lanes[p.Lane]++
		}
		require.Equal(t, map[string]int{"x": 2, "a-z": 1}, lanes)

		broken = false
		require.NoError(t, runner.Redrive(t.Context(), "listener", "x"))
		<-time.After(time.Minute)
		w.add("a-x", 4)
		<-time.After(time.Second)
		settle()
		require.Equal(t, "1 2late 3late 4", l.said("x"))
	})
}

// Told to stop, those at work end with their event, and what was not begun comes when
// it is started again.
func TestReactStops(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		l, runner, _ := w.listen(func(string, int) error {
			<-time.After(time.Second)
			return nil
		})
		last := w.add("a-x", 1, 2, 3, 4, 5, 6)
		<-time.After(2*time.Second + time.Millisecond)
		require.NoError(t, runner.Stop(t.Context(), "listener"))
		<-time.After(time.Minute)
		settle()
		require.Equal(t, "1 2 3", l.said("x"))
		require.NoError(t, runner.Start(t.Context(), "listener"))
		w.waitFor(runner, "listener", last)

		require.True(t, strings.HasPrefix(l.said("x"), "1 2 3 "))
		require.True(t, strings.HasSuffix(l.said("x"), "4 5 6"))
	})
}

func TestReactRefusals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := world{t: t, Journal: nil}
		_, err := projections.New(projections.Config{Journal: w.another(), Projections: []projections.Projection{projections.React(new(listener), nil)}})
		require.ErrorContains(t, err, "nil store")
	})
	virtually(t, func(t *testing.T, w world) {
		_, runner, _ := w.listen(func(string, int) error { return nil })
		w.waitFor(runner, "listener", w.add("a-x", 1))
		require.ErrorIs(t, runner.Reset(t.Context(), "listener"), persistence.ErrInvalid)
	})
}
