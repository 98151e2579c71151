package measure

import (
	"math"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestProcessorTimeOf(t *testing.T) {
	t.Parallel()
	require.Zero(t, ProcessorTimeOf(math.MaxInt32), "there is no such process")
	if runtime.GOOS == "linux" {
		require.Positive(t, ProcessorTimeOf(os.Getppid()))
	}
}
