package actors

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
		keep := retention{age: time.Duration(rapid.IntRange(1, 100).Draw(t, "age")) * time.Second, count: rapid.IntRange(1, 200).Draw(t, "count")}
		var m *memory
		var all []remembered
		now, stored := int64(1000), 0
		for i := range rapid.IntRange(0, 300).Draw(t, "commands") {
			now += int64(rapid.IntRange(0, 3).Draw(t, "pause"))
			command := remembered{version: persistence.Version(i + 1), at: now}
			binary.BigEndian.PutUint32(command.id[:], uint32(i+1))
			all = append(all, command)
			m = m.add(command, keep)
			for stored < len(all) && rapid.Bool().Draw(t, "stored") {
				stored++
				m.settle(persistence.Position{Part: 1, Offset: int64(10 * stored)})
			}
		}

		old := oldest(all, int64(keep.age/time.Second))
		gone := 0
		for i, command := range all {
			kept := len(all)-i <= keep.count && i >= old
			version, found := m.find(command.id)
			require.Equal(t, kept, found)
			if kept {
				require.Equal(t, command.version, version)
			} else {
				gone = i + 1
			}
		}
		_, found := m.find(persistence.CommandID{15: 1})
		require.False(t, found)
		nowhere := persistence.Position{}
		require.Equal(t, gone == 0, m.complete(time.Time{}, nowhere))
		if gone > 0 {
			require.False(t, m.complete(time.Unix(all[gone-1].at, 0), nowhere))
		}
		require.True(t, m.complete(time.Unix(now, 0).Add(clockSkew+time.Second), nowhere))
		for after := range len(all) + 1 {
			known := gone == 0 || gone <= stored && after >= gone
			require.Equal(t, known, m.complete(time.Time{}, persistence.Position{Part: 1, Offset: int64(10*after + 1)}))
			require.Equal(t, gone == 0, m.complete(time.Unix(now+1000, 0), persistence.Position{Part: 2, Offset: int64(10*after + 1)}))
		}
	})
}

// oldest is how many commands are older than an age, as blocks of them tell it.
func oldest(all []remembered, age int64) (old int) {
	var over []int64 // at the end of each whole block
	for i := 0; i+block < len(all); i += block {
		least := all[i].at
		for _, c := range all[i : i+block] {
			least = min(least, c.at)
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
		keep := retention{age: age * time.Second, count: 1000}
		var m *memory
		var all []remembered // with their true times
		now := int64(100 * day)
		for i, left, wrong := 0, 0, int64(0); i < 400; i++ {
			now += rapid.Int64Range(0, day/20).Draw(t, "pause")
			if left--; left < -block {
				left, wrong = rapid.IntRange(0, block-1).Draw(t, "moment"), rapid.SampledFrom([]int64{-90 * day, -3600, 3600, 8 * day, 4000 * day}).Draw(t, "wrong")
			}
			command := remembered{version: persistence.Version(i + 1), at: now}
			binary.BigEndian.PutUint32(command.id[:], uint32(i+1))
			all = append(all, command)
			if left > 0 {
				command.at += wrong
			}
			m = m.add(command, keep)
		}
		for _, command := range all {
			if now-command.at <= age {
				_, found := m.find(command.id)
				require.True(t, found, "%d seconds ago", now-command.at)
			}
		}
	})
}

// What is old by all clocks is forgotten.
func TestMemoryForgets(t *testing.T) {
	t.Parallel()
	keep := retention{age: time.Hour, count: 1000}
	var m *memory
	for i := range 900 {
		command := remembered{version: persistence.Version(i + 1), at: int64(1000 + 60*i)}
		binary.BigEndian.PutUint32(command.id[:], uint32(i+1))
		m = m.add(command, keep)
	}
	require.LessOrEqual(t, m.commands.Len(), 60+3*block)
	require.LessOrEqual(t, m.course.over.Len(), 4)
}
