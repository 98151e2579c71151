package persistence_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestLevelsAreWords(t *testing.T) {
	t.Parallel()
	for level, word := range map[persistence.Level]string{persistence.Green: "green", persistence.Yellow: "yellow", persistence.Red: "red"} {
		require.Equal(t, word, fmt.Sprint(level))
		text, err := json.Marshal(map[string]persistence.Level{"level": level})
		require.NoError(t, err)
		require.JSONEq(t, fmt.Sprintf(`{"level":%q}`, word), string(text))
		var back map[string]persistence.Level
		require.NoError(t, json.Unmarshal(text, &back))
		require.Equal(t, level, back["level"])
	}
	require.Equal(t, "Level(9)", persistence.Level(9).String())
	var level persistence.Level
	require.ErrorIs(t, level.UnmarshalText([]byte("blue")), persistence.ErrInvalid)
}
