package postgres

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestStreamsKeepWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := newStreams(100)
	name := func(i int) persistence.StreamID { return persistence.StreamID(fmt.Sprint("s-", i)) }

	for i := range 1000 {
		s.remember(0, map[persistence.StreamID]int64{name(i): int64(i + 1)})
		s.mu.Lock()
		require.EqualValues(t, 1, s.id(name(0)), "what is used stays")
		require.Equal(t, name(0), s.name(1))
		require.EqualValues(t, i+1, s.id(name(i)))
		require.LessOrEqual(t, len(s.young.ids)+len(s.old.ids), 100)
		require.LessOrEqual(t, len(s.young.names)+len(s.old.names), 100)
		s.mu.Unlock()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.id(name(500)), "what is not used is forgotten")
	require.Empty(t, s.name(501))
}

func TestStreamsForgetAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	s := newStreams(100)
	s.remember(s.current(), map[persistence.StreamID]int64{"s-1": 1})
	asked := s.current()

	s.reset()
	s.remember(asked, map[persistence.StreamID]int64{"s-2": 2}) // an answer that comes late

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Zero(t, s.id("s-1"))
	require.Zero(t, s.id("s-2"))
	require.Empty(t, s.name(2))
}
