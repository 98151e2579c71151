package projections_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// What a stored event has become is told one by one, and what was told is not told
// again because the next one fails.
func TestExternalGoesOnInsideOfAnEvent(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		chain, err := upcast.New(upcast.Upcaster{From: "many", To: []string{"added"}, Upcast: func(raw upcast.Raw) (results []upcast.Raw, err error) {
			for i := range 4 {
				results = append(results, raw.As("added", fmt.Appendf(nil, `{"N":%d}`, i)))
			}
			return results, nil
		}})
		require.NoError(t, err)
		var heard []string
		keys := map[persistence.EventID]bool{}
		failures := 3
		definition := projections.Define("sums", 1, projections.On(func(ctx context.Context, _ *told, e projections.Event[added]) error {
			if e.Data.N == 2 && failures > 0 {
				failures--
				return errBroken
			}
			require.Positive(t, projections.EpochOf(ctx))
			keys[e.Key()] = true
			heard = append(heard, fmt.Sprintf("%s/%d", e.Position, e.Sub))
			return nil
		}))
		runner, _ := w.run(projections.Config{Upcasters: chain}, definition.Into(projections.External(new(told), new(projections.Books))))

		w.add("a-1", 7)
		w.waitFor(runner, "sums", w.store(persistence.Append{Stream: "a-2", Events: []persistence.Event{{Type: "many"}}}))

		require.Equal(t, "1/0 2/0 2/1 2/2 2/3", strings.Join(heard, " "))
		require.Len(t, keys, 5)
	})
}

func TestTooMuchIsSetAside(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		runner, _ := w.run(projections.Config{}, fragile(breaking(), projections.OnFailure(projections.Park), projections.Retries(0, 0)).Into(projections.InMemory(new(sums))))
		for i := range 1100 {
			w.add(persistence.StreamID(fmt.Sprint("a-", i)), -1)
		}
		time.Sleep(time.Minute)

		err := runner.WaitFor(t.Context(), "sums", persistence.Position{Offset: 1100})

		require.ErrorContains(t, err, "too many events are set aside")
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Failed, info.Status)
	})
}

// A reader that keeps the model does not keep the runner from ending.
func TestRunEndsBesideAReader(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	target := projections.InMemory(new(int))
	handled := make(chan struct{}, 10)
	definition := projections.Define("count", 1, projections.On(func(_ context.Context, n *int, _ projections.Event[added]) error {
		*n++
		handled <- struct{}{}
		return nil
	}))
	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{definition.Into(target)}, Grace: time.Millisecond})
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	add := func() {
		_, err := journal.Append(t.Context(), persistence.Append{Stream: "a-1", Expected: persistence.Any, Events: []persistence.Event{{Type: "added", Payload: []byte(`{"N":1}`)}}})
		require.NoError(t, err)
	}
	add()
	<-handled
	looking, leave, left := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(left)
		target.View(func(*int) { close(looking); <-leave })
	}()
	<-looking
	add()
	for waiting := false; !waiting; { // behind a writer who waits another reader waits too
		seen := make(chan struct{})
		go func() { target.View(func(*int) { close(seen) }) }()
		select {
		case <-seen:
		case <-time.After(50 * time.Millisecond):
			waiting = true
		}
	}

	stop()

	select {
	case err := <-ended:
		require.NoError(t, err)
	case <-time.After(5 * time.Second):
		t.Error("the runner waits for the reader")
	}
	close(leave)
	<-left
}
