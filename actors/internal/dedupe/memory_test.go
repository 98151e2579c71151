package dedupe

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

// A memory finds the newest commands that its retention covers and no others, and
// knows up to when it is complete.
func TestMemory(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		keep := Retention{Age: time.Duration(rapid.IntRange(1, 100).Draw(t, "age")) * time.Second, Count: rapid.IntRange(1, 200).Draw(t, "count")}
		var m *Memory
		var all []Command
		now, stored := int64(1000), 0
		for i := range rapid.IntRange(0, 300).Draw(t, "commands") {
			now += int64(rapid.IntRange(0, 3).Draw(t, "pause"))
			command := Command{Version: persistence.Version(i + 1), At: now}
			binary.BigEndian.PutUint32(command.ID[:], uint32(i+1))
			all = append(all, command)
			m = m.Add(command, keep)
			for stored < len(all) && rapid.Bool().Draw(t, "stored") {
				stored++
				m.Settle(persistence.Position{Part: 1, Offset: int64(10 * stored)})
			}
		}

		old := oldest(all, int64(keep.Age/time.Second))
		gone := 0
		for i, command := range all {
			kept := len(all)-i <= keep.Count && i >= old
			version, found := m.Find(command.ID)
			require.Equal(t, kept, found)
			if kept {
				require.Equal(t, command.Version, version)
			} else {
				gone = i + 1
			}
		}
		_, found := m.Find(persistence.CommandID{15: 1})
		require.False(t, found)
		nowhere := persistence.Position{}
		require.Equal(t, gone == 0, m.Complete(time.Time{}, nowhere))
		if gone > 0 {
			require.False(t, m.Complete(time.Unix(all[gone-1].At, 0), nowhere))
		}
		require.True(t, m.Complete(time.Unix(now, 0).Add(ClockSkew+time.Second), nowhere))
		for after := range len(all) + 1 {
			known := gone == 0 || gone <= stored && after >= gone
			require.Equal(t, known, m.Complete(time.Time{}, persistence.Position{Part: 1, Offset: int64(10*after + 1)}))
			require.Equal(t, gone == 0, m.Complete(time.Unix(now+1000, 0), persistence.Position{Part: 2, Offset: int64(10*after + 1)}))
		}
	})
}

// oldest is how many commands are older than an age, as blocks of them tell it.
func oldest(all []Command, age int64) (old int) {
	var over []int64 // at the end of each whole block
	for i := 0; i+block < len(all); i += block {
		least := all[i].At
		for _, c := range all[i : i+block] {
			least = min(least, c.At)
		}
		if len(over) > 0 {
			least = max(least, over[len(over)-1])
		}
		over = append(over, least)
	}
	for k := 0; k+1 < len(over); k++ {
		if over[len(over)-1]-over[k+1] > age {
			old = (k + 1) * block
		}
	}
	return old
}

// A clock that is wrong for a moment makes nobody forget, whichever way it is wrong.
func TestMemoryOutlivesWrongClocks(t *testing.T) {
	t.Parallel()
	const age, day = 7 * 24 * 3600, 24 * 3600
	rapid.Check(t, func(t *rapid.T) {
		keep := Retention{Age: age * time.Second, Count: 1000}
		var m *Memory
		var all []Command // with their true times
		now := int64(100 * day)
		for i, left, wrong := 0, 0, int64(0); i < 400; i++ {
			now += rapid.Int64Range(0, day/20).Draw(t, "pause")
			if left--; left < -block {
				left, wrong = rapid.IntRange(0, block-1).Draw(t, "moment"), rapid.SampledFrom([]int64{-90 * day, -3600, 3600, 8 * day, 4000 * day}).Draw(t, "wrong")
			}
			command := Command{Version: persistence.Version(i + 1), At: now}
			binary.BigEndian.PutUint32(command.ID[:], uint32(i+1))
			all = append(all, command)
			if left > 0 {
				command.At += wrong
			}
			m = m.Add(command, keep)
		}
		for _, command := range all {
			if now-command.At <= age {
				_, found := m.Find(command.ID)
				require.True(t, found, "%d seconds ago", now-command.At)
			}
		}
	})
}

// What is old by all clocks is forgotten.
func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	keep := Retention{Age: time.Hour, Count: 1000}
	var m *Memory
	for i := range 900 {
		command := Command{Version: persistence.Version(i + 1), At: int64(1000 + 60*i)}
		binary.BigEndian.PutUint32(command.ID[:], uint32(i+1))
		m = m.Add(command, keep)
	}
	require.LessOrEqual(t, m.commands.Len(), 60+3*block)
	require.LessOrEqual(t, m.clock.over.Len(), 4)
}
