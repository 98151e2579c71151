package appender

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// A callback that does not return is told of its own append, and so is everybody else.
func TestACallbackThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(){"ends its goroutine": runtime.Goexit, "panics": func() { panic("secret") }} {
		t.Run("which "+name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			begin := make(chan struct{})
			failing := &persistence.ConflictError{Stream: "a-1"}
			queue := New(Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Commit: func(b *Batch) {
				<-begin
				Again(func() {
					for i := range b.Items {
						if b.Items[i].Stream == "fails-1" {
							b.Settle(i, persistence.Outcome{Err: failing})
							continue
						}
						b.Settle(i, persistence.Outcome{First: 1, Last: persistence.Version(len(b.Items[i].Events))})
					}
				})
			}})
			ended := make(chan struct{})
			go func() {
				defer close(ended)
				queue.Run()
			}()

			outcomes := make(chan persistence.Outcome, 100)
			submit := func(stream persistence.StreamID, expected persistence.Version, chain *persistence.Chain) {
				require.NoError(t, queue.Submit(add(stream, persistence.Exact(expected), "x"), chain, func(o persistence.Outcome) {
					outcomes <- o
					end()
				}))
			}
			good, bad := new(persistence.Chain), new(persistence.Chain)
			for i := range persistence.Version(4) { // joined, but for the first
				submit("joined-1", i, good)
				submit("fails-1", i, bad)
			}
			submit("a-1", 0, nil)
			submit("b-1", 0, nil)
			close(begin)

			failed := 0
			for range 10 {
				select {
				case o := <-outcomes:
					if o.Err != nil {
						require.Equal(t, failing, o.Err)
						failed++
					}
				case <-time.After(time.Minute):
					require.FailNow(t, "an append is not settled")
				}
			}
			require.Equal(t, 4, failed)
			all, err := queue.Append(t.Context(), add("a-1", 1, "y"))
			require.NoError(t, err)
			require.NoError(t, all[0].Err)
			queue.Close(t.Context())
			<-ended
			require.Empty(t, outcomes, "each once")
			require.Zero(t, queue.appends)
			require.Contains(t, log.String(), `msg="the callback of an append did not return" stream=b-1`)
			require.NotContains(t, log.String(), "secret")
		})
		t.Run("which "+name+" when the queue gives up", func(t *testing.T) {
			t.Parallel()
			queue := New(Config{Logger: slog.New(slog.DiscardHandler)})
			outcomes := make(chan persistence.Outcome, 100)
			for _, stream := range []persistence.StreamID{"a-1", "b-1", "b-1"} {
				require.NoError(t, queue.Submit(add(stream, 0, "x"), nil, func(o persistence.Outcome) {
					outcomes <- o
					end()
				}))
			}
			over, cancel := context.WithCancel(t.Context())
			cancel()

			queue.Close(over)

			require.Len(t, outcomes, 3)
			require.ErrorIs(t, (<-outcomes).Err, persistence.ErrUnavailable)
			require.Zero(t, queue.appends)
		})
	}
	t.Run("and a panic of the committer is nobody's callback", func(t *testing.T) {
		t.Parallel()
		require.PanicsWithValue(t, "broken", func() { Again(func() { panic("broken") }) })
	})
}
