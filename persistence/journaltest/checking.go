package journaltest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// checking are the cases of a [persistence.Checker].
var checking = cases{
	"a check finds no fault in streams that have been through everything": checkSound,
	"a check that is cancelled or comes too late is an error":             checkRefused,
}

// checkSound does everything to streams that can happen to them, and checks the journal.
func checkSound(t *testing.T, s suite) {
	j := s.open(t)
	checker := ability[persistence.Checker](j.Journal)
	j.grow("a-1", 5)
	j.store("a-1", persistence.Any, named(notes("named", 2)...)...)
	j.grow("b-1", 3)
	require.NoError(t, j.Create(j.ctx, "c-1", persistence.Metadata{"k": persistence.String("v")}))
	_, err := j.Truncate(j.ctx, "a-1", 4)
	require.NoError(t, err)
	_, err = j.Delete(j.ctx, "b-1", persistence.Exact(3))
	require.NoError(t, err)
	j.grow("b-1", 2)
	if snapshots, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		require.NoError(t, snapshots.SaveSnapshot(j.ctx, stateOf("a-1", 7, "state")))
	}
	if scavenger, ok := persistence.As[persistence.Scavenger](j.Journal); ok {
		_, err = scavenger.Scavenge(j.ctx, "a-1")
		require.NoError(t, err)
	}

	for _, full := range []bool{false, true} {
		findings, err := checker.Check(j.ctx, persistence.CheckOptions{Full: full})

		require.NoError(t, err)
		require.NotEmpty(t, findings)
		for _, f := range findings {
			require.NotEmpty(t, f.Check)
			require.NotEmpty(t, f.Text)
			require.Less(t, f.Severity, persistence.Fault, "%+v", f)
			require.True(t, f.Severity < persistence.Warning || f.Fix != "", "a finding says what to do: %+v", f)
		}
	}
}

func checkRefused(t *testing.T, s suite) {
	j := s.open(t)
	checker := ability[persistence.Checker](j.Journal)
	gone, leave := context.WithCancel(j.ctx)
	leave()

	_, err := checker.Check(gone, persistence.CheckOptions{})
	require.Error(t, err)
	require.NoError(t, j.Close())
	_, err = checker.Check(j.ctx, persistence.CheckOptions{})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
}
