package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStepsAreNumbered(t *testing.T) {
	t.Parallel()
	all, err := steps()

	require.NoError(t, err)
	require.NotEmpty(t, all)
	for i, name := range all {
		require.True(t, strings.HasPrefix(name, fmt.Sprintf("migration/%04d_", i+1)), name)
	}
}

func TestStepsAreTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	c, err := connect(path, "rwc")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.close()) })
	require.NoError(t, c.exec("CREATE TABLE event_key (x)")) // the last table of the first step

	require.Error(t, migrate(c, 0))

	var tables int64
	require.NoError(t, c.integers("SELECT count(*) FROM sqlite_schema", &tables))
	require.Equal(t, int64(1), tables)
	require.NoError(t, c.exec("BEGIN; COMMIT"), "the transaction was left")
}
