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

func TestEachGoesOnBehindOneThatDoesNotReturn(t *testing.T) {
	t.Parallel()
	var called []int
	ended := map[int]string{}
	usercode.Each(6, func(i int) {
		called = append(called, i)
		switch i {
		case 1, 5:
			runtime.Goexit()
		case 2:
			panic("secret")
		}
	}, func(i int, err error) { ended[i] = err.Error() })

	require.Equal(t, []int{0, 1, 2, 3, 4, 5}, called)
	require.Equal(t, map[int]string{1: usercode.Exited().Error(), 2: "panicked with a string", 5: usercode.Exited().Error()}, ended)
}
