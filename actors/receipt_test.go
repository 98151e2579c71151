package actors_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// A receipt says where the reply stands: behind its own events, or behind those
// that it shows.
func TestReceipt(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	seed(t, journal, "other", "1", "2", "3")
	at := func(version persistence.Version, offset int64, events int) actors.Receipt {
		return actors.Receipt{Version: version, Position: persistence.Position{Offset: offset}, Events: events}
	}
	for i, step := range []struct {
		ask  func(actors.AskOption) error
		want actors.Receipt
	}{
		{func(o actors.AskOption) error { _, err := GetOf.Ask(t.Context(), system, "a", Get{}, o); return err }, at(0, 0, 0)},
		{func(o actors.AskOption) error {
			_, err := PutInto.Ask(t.Context(), system, "a", Put{Events: 3}, o)
			return err
		}, at(3, 6, 3)},
		{func(o actors.AskOption) error { _, err := GetOf.Ask(t.Context(), system, "a", Get{}, o); return err }, at(3, 6, 0)},
		{func(o actors.AskOption) error {
			require.True(t, system.Passivate("list", "a"))
			_, err := GetOf.Ask(t.Context(), system, "a", Get{}, o)
			return err
		}, at(3, 6, 0)},
		{func(o actors.AskOption) error {
			_, err := GetOf.Ask(t.Context(), system, "a", Get{}, o, actors.Once("k"))
			return err
		}, at(4, 7, 0)},
	} {
		receipt := actors.Receipt{Repeated: true}

		require.NoError(t, step.ask(actors.ReceiptTo(&receipt)))

		require.NotZero(t, receipt.Command)
		receipt.Command = persistence.CommandID{}
		require.Equal(t, step.want, receipt, "step %d", i)
	}

	// A failure has no place, but it has an id.
	receipt := actors.Receipt{Version: 7}
	_, err := PutInto.Ask(t.Context(), system, "a", Put{Do: reject}, actors.ReceiptTo(&receipt))
	require.Equal(t, errRejected, err)
	require.NotZero(t, receipt.Command)
	receipt.Command = persistence.CommandID{}
	require.Zero(t, receipt)
}

// slow is a projection that reaches the n-th position after n seconds.
type slow struct{ began time.Time }

func (slow) Name() string { return "slow" }

func (slow) Check() error { return nil }

func (s slow) WaitFor(ctx context.Context, position persistence.Position) error {
	wait := time.Until(s.began.Add(time.Duration(position.Offset) * time.Second))
	select {
	case <-time.After(wait):
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%d events behind: %w", position.Offset, ctx.Err())
	}
}

// Await returns when the projection shows what the reply says. When that takes too
// long the reply comes with an error that says so.
func TestAwait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		system := open(t, actors.Config{})
		projection := slow{time.Now()}

		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x", Events: 3}, actors.Await(projection))
		require.NoError(t, err)
		require.Equal(t, 3, seen.Version)
		require.Equal(t, 3*time.Second, time.Since(projection.began))

		_, err = GetOf.Ask(t.Context(), system, "a", Get{}, actors.Await(projection, projection))
		require.NoError(t, err)
		require.Equal(t, 3*time.Second, time.Since(projection.began), "it is there already")

		_, err = PutInto.Ask(t.Context(), system, "a", Put{Do: reject}, actors.Await(projection))
		require.Equal(t, errRejected, err)

		var receipt actors.Receipt
		seen, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y", Events: 100}, actors.Await(projection), actors.ReceiptTo(&receipt))
		require.Equal(t, 103, seen.Version)
		require.Equal(t, 13*time.Second, time.Since(projection.began), "ten seconds without a deadline")
		require.ErrorIs(t, err, actors.ErrBehind)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		behind, ok := errors.AsType[*actors.BehindError](err)
		require.True(t, ok)
		require.Equal(t, "slow", behind.Projection)
		require.Equal(t, behind.Want, receipt.Position)
		require.Contains(t, err.Error(), "103 events behind")
	})
}
