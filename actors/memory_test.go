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
		keep := retention{age: time.Duration(rapid.IntRange(1, 100).Draw(t, "age")) * time.Second, count: rapid.IntRange(1, 60).Draw(t, "count")}
		var m *memory
		var all []remembered
		now, stored := int64(1000), 0
		for i := range rapid.IntRange(0, 200).Draw(t, "commands") {
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

		forgotten, gone := int64(0), 0
		for i, command := range all {
			kept := len(all)-i <= keep.count && command.at >= now-int64(keep.age/time.Second)
			version, found := m.find(command.id)
			require.Equal(t, kept, found)
			if kept {
				require.Equal(t, command.version, version)
			} else {
				forgotten, gone = command.at, i+1
			}
		}
		_, found := m.find(persistence.CommandID{15: 1})
		require.False(t, found)
		nowhere := persistence.Position{}
		require.Equal(t, forgotten == 0, m.complete(time.Time{}, nowhere))
		require.Equal(t, forgotten == 0, m.complete(time.Unix(forgotten, 0), nowhere))
		require.True(t, m.complete(time.Unix(forgotten, 0).Add(clockSkew+time.Second), nowhere))
		for after := range len(all) + 1 {
			known := forgotten == 0 || gone <= stored && after >= gone
			require.Equal(t, known, m.complete(time.Time{}, persistence.Position{Part: 1, Offset: int64(10*after + 1)}))
			require.Equal(t, forgotten == 0, m.complete(time.Time{}, persistence.Position{Part: 2, Offset: int64(10*after + 1)}))
		}
	})
}
