//go:build unix

package postgres_test

import (
	"math/rand/v2"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/pgtest"
)

// Processes that are halted in the midst of anything, and go on long after others
// have taken over, add nothing.
func TestLongHalted(t *testing.T) {
	t.Parallel()
	where := "postgres " + pgtest.URL(t)
	children := []*exec.Cmd{start(t, where), start(t, "silent "+where)}
	for range *kills {
		halted := children[rand.IntN(2)].Process
		require.NoError(t, halted.Signal(syscall.SIGSTOP))
		within(t, 500*time.Millisecond+rand.N(time.Second))
		require.NoError(t, halted.Signal(syscall.SIGCONT))
		within(t, rand.N(300*time.Millisecond))
	}
	for _, command := range children {
		require.NoError(t, command.Process.Kill())
		_ = command.Wait() // it was killed
	}
	requireOnce(t, where)
}
