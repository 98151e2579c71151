package main

import (
	"context"
	"math"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ticking is a meter that everything costs the same.
type ticking struct{ now cost }

func (m *ticking) cost(context.Context) (cost, error) {
	m.now.client += time.Microsecond
	m.now.server += 2 * time.Microsecond
	m.now.logged += 600
	return m.now, nil
}

func TestMetered(t *testing.T) {
	t.Parallel()

	l, err := metered(t.Context(), &ticking{}, func() (load, error) { return load{count: 4}, nil })

	require.NoError(t, err)
	require.InDelta(t, 0.25, l.clientTime(), 1e-9)
	require.InDelta(t, 0.5, l.serverTime(), 1e-9)
	require.InDelta(t, 150, l.logged(), 1e-9)

	_, err = metered(t.Context(), &ticking{}, func() (load, error) { return load{}, errWork })
	require.Equal(t, errWork, err)
}

func TestProcessorTimeOf(t *testing.T) {
	t.Parallel()
	require.Zero(t, processorTimeOf(math.MaxInt32), "there is no such process")
	if runtime.GOOS == "linux" {
		require.Positive(t, processorTimeOf(os.Getppid()))
	}
}
