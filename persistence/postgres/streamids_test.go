package postgres

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestStreamsKeepWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := newStreamCache(100)
	name := func(i int) persistence.StreamID { return persistence.StreamID(fmt.Sprint("s-", i)) }

	for i := range 1000 {
		s.remember(0, map[persistence.StreamID]*stream{name(i): {id: int64(i + 1), name: name(i)}})
		s.mu.Lock()
		require.EqualValues(t, 1, s.byName(name(0)).id, "what is used stays")
		require.Equal(t, name(0), s.byID(1).name)
		require.EqualValues(t, i+1, s.byName(name(i)).id)
		require.LessOrEqual(t, len(s.young.byName)+len(s.old.byName), 100)
		require.LessOrEqual(t, len(s.young.byID)+len(s.old.byID), 100)
		s.mu.Unlock()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Nil(t, s.byName(name(500)), "what is not used is forgotten")
	require.Nil(t, s.byID(501))
}

func TestStreamsForgetAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	s := newStreamCache(100)
	s.remember(s.currentEpoch(), map[persistence.StreamID]*stream{"s-1": {id: 1, name: "s-1"}})
	asked := s.currentEpoch()

	s.reset()
	s.remember(asked, map[persistence.StreamID]*stream{"s-2": {id: 2, name: "s-2"}}) // an answer that comes late

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Nil(t, s.byName("s-1"))
	require.Nil(t, s.byName("s-2"))
	require.Nil(t, s.byID(2))
}
