package projections_test

import (
	"context"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/projections"
)

// endingLog counts the lines that it gets, and does not return.
type endingLog struct {
	slog.Handler
	end   func()
	lines *atomic.Int64
}

func (endingLog) Enabled(context.Context, slog.Level) bool { return true }

func (l endingLog) Handle(context.Context, slog.Record) error {
	l.lines.Add(1)
	l.end()
	return nil
}

func TestALoggerThatDoesNotReturnEndsNoProjection(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		for _, end := range ends {
			log := endingLog{slog.DiscardHandler, end, new(atomic.Int64)}
			bad := projections.Define("bad", 1, projections.On(func(context.Context, *sums, projections.Event[added]) error { panic("secret") })).
				With(projections.Retries(0, 0)).Into(projections.InMemory(new(sums)))
			good := projections.Define("good", 1, projections.On(inMemory)).Into(projections.InMemory(new(sums)))
			runner, stop := w.run(projections.Config{Logger: slog.New(log)}, bad, good)

			last := w.add("a-1", 1)

			require.NoError(t, runner.WaitFor(t.Context(), "good", last))
			require.ErrorIs(t, runner.WaitFor(t.Context(), "bad", last), projections.ErrBehind)
			stop()
			require.Positive(t, log.lines.Load())
		}
	})
}
