package load

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ticking is a meter that everything costs the same.
type ticking struct{ now Cost }

func (m *ticking) Cost(context.Context) (Cost, error) {
	m.now.Client += time.Microsecond
	m.now.Server += 2 * time.Microsecond
	m.now.Logged += 600
	return m.now, nil
}

func TestMetered(t *testing.T) {
	t.Parallel()

	l, err := Metered(t.Context(), &ticking{}, func() (Result, error) { return Result{Count: 4}, nil })

	require.NoError(t, err)
	require.InDelta(t, 0.25, l.ClientTime(), 1e-9)
	require.InDelta(t, 0.5, l.ServerTime(), 1e-9)
	require.InDelta(t, 150, l.Logged(), 1e-9)

	_, err = Metered(t.Context(), &ticking{}, func() (Result, error) { return Result{}, errWork })
	require.Equal(t, errWork, err)
}
