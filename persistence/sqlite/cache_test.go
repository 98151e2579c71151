package sqlite

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestRecent(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		const size = 4
		r := cache[int, int]{size: size}
		values := map[int]int{}
		var used []int // the most recent last
		use := func(key int) {
			for i := range used {
				if used[i] == key {
					used = append(used[:i:i], used[i+1:]...)
					break
				}
			}
			used = append(used, key)
		}
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				key := rapid.IntRange(0, 20).Draw(t, "key")
				values[key] = rapid.Int().Draw(t, "value")
				r.put(key, values[key])
				use(key)
			},
			"get": func(t *rapid.T) {
				key := rapid.IntRange(0, 20).Draw(t, "key")
				value, found := r.get(key)
				if found {
					require.Equal(t, values[key], value)
					use(key)
				}
			},
			"forget": func(*rapid.T) {
				r.forget()
				values, used = map[int]int{}, nil
			},
			"": func(t *rapid.T) {
				require.LessOrEqual(t, len(r.young), size)
				require.LessOrEqual(t, len(r.old), size)
				for _, key := range used[max(0, len(used)-size):] {
					_, young := r.young[key]
					_, old := r.old[key]
					require.True(t, young || old, "the last %d are remembered", size)
				}
			},
		})
	})
}
