package projections_test

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/projections"
)

type taken struct{ N int }

func (taken) MessageName() string { return "taken" }

// A version that chooses other events than before lacks those that it has passed: every
// start says so, and its health, until somebody decides what becomes of that.
func TestOtherEventsUnderTheSameVersion(t *testing.T) {
	t.Parallel()
	const says = "chooses other events than under the same version before"
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new(sums))
		define := func(version int, more ...projections.Part[*sums]) projections.Projection {
			return projections.Define("sums", version, append(more, projections.On(inMemory), projections.Truncate(empty))...).Into(target)
		}
		takes := projections.On(func(context.Context, *sums, projections.Event[taken]) error { return nil })
		start := func(all ...projections.Projection) (runner *projections.Runner, end func() int) {
			log := new(bytes.Buffer)
			runner, stop := w.run(projections.Config{Logger: slog.New(slog.NewTextHandler(log, nil))}, all...)
			w.waitFor(runner, "sums", w.add("a-1", 1))
			return runner, func() int {
				stop()
				return strings.Count(log.String(), says)
			}
		}
		yellow := func(runner *projections.Runner) {
			t.Helper()
			health := runner.Health(t.Context())[0]
			require.Equal(t, projections.Yellow, health.Level)
			require.Contains(t, health.Reason, says)
			require.Contains(t, health.Reason, "raise the version or reset it")
		}
		green := func(runner *projections.Runner) {
			t.Helper()
			require.Equal(t, projections.Green, runner.Health(t.Context())[0].Level)
		}

		runner, end := start(define(1))
		green(runner)
		require.Zero(t, end())
		for range 3 {
			runner, end = start(define(1, takes))
			yellow(runner)
			require.NoError(t, runner.Stop(t.Context(), "sums"))
			require.NoError(t, runner.Start(t.Context(), "sums"))
			yellow(runner)
			require.Equal(t, 1, end(), "once for each start")
		}

		runner, end = start(define(1, takes))
		require.NoError(t, runner.Reset(t.Context(), "sums"))
		green(runner)
		require.Equal(t, 1, end())
		runner, end = start(define(1, takes))
		green(runner)
		require.Zero(t, end())

		runner, end = start(define(1)) // it passes by what it has chosen until now
		yellow(runner)
		_, err := runner.Seek(t.Context(), "sums", w.end())
		require.NoError(t, err)
		green(runner)
		require.Equal(t, 1, end(), "and somebody has said where it goes on")

		runner, end = start(define(2, takes))
		green(runner)
		require.Zero(t, end(), "another version is made anew")
	})
}

// end is where the journal ends.
func (w world) end() persistence.Positions {
	w.t.Helper()
	head, err := w.Head(w.t.Context())
	require.NoError(w.t, err)
	return head
}
