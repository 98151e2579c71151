//go:build unix

package killtest_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/internal/killtest"
)

func TestChildIsHaltedAndGoesOn(t *testing.T) {
	t.Parallel()
	child := killtest.Start(t, "repeat", "up")
	_, ok := child.Line()
	require.True(t, ok)
	child.Halt()
	child.Say("while it is halted")
	child.Continue()
	line, ok := child.Line()
	require.True(t, ok)
	require.Equal(t, "heard while it is halted", line)
	child.Stab()
	require.Error(t, child.Wait())
}
