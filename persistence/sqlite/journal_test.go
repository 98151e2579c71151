package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "journal.db")
	journal, err := sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)

	outcomes, err := journal.Append(t.Context(), persistence.Append{
		Stream: "account-ann",
		Events: []persistence.Event{
			{Type: "opened", Payload: []byte("a"), Headers: []byte("h"), Metadata: persistence.Metadata{"who": persistence.String("me")}},
			{Type: "deposited", Payload: []byte("b")},
		},
	}, persistence.Append{Stream: "account-bob", Expected: persistence.Exact(3), Events: []persistence.Event{{Type: "opened"}}})

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrConflict)
	require.NoError(t, journal.Close())

	journal, err = sqlite.Open(t.Context(), sqlite.Config{Path: path})
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	var types []string
	for recorded, err := range journal.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
		require.NoError(t, err)
		types = append(types, recorded.Type)
	}
	require.Equal(t, []string{"opened", "deposited"}, types)
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		require.True(t, page.AtHead)
		require.Len(t, page.Events, 2)
		require.Equal(t, persistence.Positions{2}, page.Next)
	}
}
