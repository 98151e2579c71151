package usercode_test

import (
	"errors"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/usercode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCall(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	require.NoError(t, usercode.Call(func() error { return nil }))
	require.Equal(t, broken, usercode.Call(func() error { return broken }))

	var ended *usercode.EndedError
	err := usercode.Call(func() error { panic("secret") })
	require.ErrorAs(t, err, &ended)
	require.EqualError(t, err, "panicked with a string")

	var none []int
	require.ErrorContains(t, usercode.Call(func() error { _ = none[len(none)]; return nil }), "index out of range [0] with length 0")

	cleaned := false
	err = usercode.Call(func() error {
		defer func() { cleaned = true }()
		runtime.Goexit()
		return nil
	})
	require.ErrorAs(t, err, &ended)
	require.ErrorContains(t, err, "runtime.Goexit")
	require.True(t, cleaned)
}
