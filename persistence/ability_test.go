package persistence_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// The journals below have no method that works: As looks at what they have.
type (
	bare struct{ persistence.Journal }
	able struct {
		persistence.Journal
		persistence.Submitter
		persistence.Scavenger
	}
	// front does something with appends and has nothing to do with scavenging.
	front struct {
		persistence.Journal
		persistence.Submitter
		persistence.Transactor
	}
)

func (f front) Unwrap() persistence.Journal { return f.Journal }

func TestAs(t *testing.T) {
	t.Parallel()
	behind := &able{}
	inFront := &front{Journal: behind}

	t.Run("a journal has what it has", func(t *testing.T) {
		t.Parallel()

		submitter, submits := persistence.As[persistence.Submitter](behind)
		_, transacts := persistence.As[persistence.Transactor](behind)

		require.True(t, submits)
		require.Same(t, behind, submitter)
		require.False(t, transacts)
	})
	t.Run("a front uses its own methods for what the journal behind can do", func(t *testing.T) {
		t.Parallel()

		submitter, submits := persistence.As[persistence.Submitter](inFront)

		require.True(t, submits)
		require.Same(t, inFront, submitter)
	})
	t.Run("a front passes on what is not its business", func(t *testing.T) {
		t.Parallel()

		scavenger, scavenges := persistence.As[persistence.Scavenger](inFront)

		require.True(t, scavenges)
		require.Same(t, behind, scavenger)
	})
	t.Run("a front cannot do what the journal behind cannot", func(t *testing.T) {
		t.Parallel()

		_, transacts := persistence.As[persistence.Transactor](inFront)
		_, submits := persistence.As[persistence.Submitter](&front{Journal: bare{}})

		require.False(t, transacts)
		require.False(t, submits)
	})
	t.Run("fronts stand in front of fronts", func(t *testing.T) {
		t.Parallel()
		outermost := &front{Journal: inFront}

		submitter, submits := persistence.As[persistence.Submitter](outermost)
		_, transacts := persistence.As[persistence.Transactor](outermost)
		journal, reached := persistence.As[*able](outermost)

		require.True(t, submits)
		require.Same(t, outermost, submitter)
		require.False(t, transacts)
		require.True(t, reached)
		require.Same(t, behind, journal)
	})
}
