package sqlite

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
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

// TestStreamsOfTheFirstStep opens a file that knows streams and tags only as the
// first step made them.
func TestStreamsOfTheFirstStep(t *testing.T) {
	t.Parallel()
	path := t.TempDir() + "/journal.db"
	c, err := connect(path, "rwc")
	require.NoError(t, err)
	all, err := steps()
	require.NoError(t, err)
	require.NoError(t, apply(c, all[0]))
	require.NoError(t, c.exec(fmt.Sprintf("PRAGMA user_version = 1; PRAGMA application_id = %d", applicationID)))
	require.NoError(t, c.exec(`
		INSERT INTO stream VALUES (1, 'a-1', 'a');
		INSERT INTO event (position, stream_id, version, event_id, created_at, schema_id, type, tags, payload) VALUES
			(1, 1, 1, zeroblob(16), 1, 0, 't', '["x","it''s"]', CAST('1' AS BLOB)),
			(2, 1, 2, zeroblob(16), 1, 0, 't', NULL, CAST('2' AS BLOB)),
			(3, 1, 3, zeroblob(16), 1, 0, 't', '["x"]', CAST('3' AS BLOB))`))
	require.NoError(t, c.close())

	j, err := Open(t.Context(), Config{Path: path})

	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, j.Close()) })
	o := opened{Journal: j, t: t}
	require.Equal(t, []string{"1", "2", "3"}, o.payloads())
	for tag, want := range map[string][]persistence.Version{"x": {1, 3}, "it's": {1}, "y": nil} {
		var got []persistence.Version
		for _, recorded := range o.follow(persistence.ReadAllOptions{Filter: filter.Tag().Eq(tag)}) {
			got = append(got, recorded.Version)
		}
		require.Equal(t, want, got, tag)
	}
	info, err := o.Stream(t.Context(), "a-1")
	require.NoError(t, err)
	require.Equal(t, persistence.StreamInfo{Stream: "a-1", Version: 3, First: 1, Begin: 1}, info)
	require.NoError(t, o.append("a-1", persistence.Exact(3), "4").Err)
}
