//go:build unix

package postgres_test

import (
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stele-es/stele/internal/killtest"
	"github.com/stele-es/stele/internal/pgtest"
)

// Processes that are halted in the midst of anything, and go on long after others
// have taken over, add nothing.
func TestLongHalted(t *testing.T) {
	t.Parallel()
	where := "postgres " + pgtest.URL(t)
	children := []*killtest.Child{start(t, where, shortTakeOver), start(t, "silent "+where, shortTakeOver)}
	for range *kills {
		halted := children[rand.IntN(2)]
		halted.Halt()
		within(t, 500*time.Millisecond+rand.N(time.Second))
		halted.Continue()
		within(t, rand.N(300*time.Millisecond))
	}
	for _, child := range children {
		child.Kill()
	}
	requireOnce(t, where)
}
