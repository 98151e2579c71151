package streamids

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestStreamsKeepWhatIsUsed(t *testing.T) {
	t.Parallel()
	s := New(100)
	name := func(i int) persistence.StreamID { return persistence.StreamID(fmt.Sprint("s-", i)) }

	for i := range 1000 {
		s.Remember(0, map[persistence.StreamID]*Stream{name(i): {ID: int64(i + 1), Name: name(i)}})
		s.mu.Lock()
		require.EqualValues(t, 1, s.named(name(0)).ID, "what is used stays")
		require.Equal(t, name(0), s.numbered(1).Name)
		require.EqualValues(t, i+1, s.named(name(i)).ID)
		require.LessOrEqual(t, len(s.young.byName)+len(s.old.byName), 100)
		require.LessOrEqual(t, len(s.young.byID)+len(s.old.byID), 100)
		s.mu.Unlock()
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Nil(t, s.named(name(500)), "what is not used is forgotten")
	require.Nil(t, s.numbered(501))
}

func TestStreamsForgetAnEarlierEpoch(t *testing.T) {
	t.Parallel()
	s := New(100)
	s.Remember(s.Epoch(), map[persistence.StreamID]*Stream{"s-1": {ID: 1, Name: "s-1"}})
	asked := s.Epoch()

	s.Reset()
	s.Remember(asked, map[persistence.StreamID]*Stream{"s-2": {ID: 2, Name: "s-2"}}) // an answer that comes late

	s.mu.Lock()
	defer s.mu.Unlock()
	require.Nil(t, s.named("s-1"))
	require.Nil(t, s.named("s-2"))
	require.Nil(t, s.numbered(2))
}
