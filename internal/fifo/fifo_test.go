package fifo_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/internal/fifo"
)

func TestQueueEqualsASlice(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var queue fifo.Queue[int]
		var model []int
		next := 0
		t.Repeat(map[string]func(*rapid.T){
			"push": func(*rapid.T) {
				next++
				queue.Push(next)
				model = append(model, next)
			},
			"pop": func(t *rapid.T) {
				if len(model) == 0 {
					t.Skip("nothing to pop") // another action is drawn
				}
				require.Equal(t, model[0], queue.Pop())
				model = model[1:]
			},
			"clear": func(t *rapid.T) {
				require.ElementsMatch(t, model, queue.Clear())
				model = nil
			},
			"": func(t *rapid.T) {
				require.Equal(t, len(model), queue.Len())
				for i, want := range model {
					require.Equal(t, want, *queue.At(i))
				}
			},
		})
	})
}
