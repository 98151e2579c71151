package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCommandLine(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		arguments []string
		code      int
		says      string
	}{
		"help":               {[]string{"-h"}, 0, "-seed"},
		"an unknown program": {[]string{"fire"}, 2, "order16, order64, path"},
		"an unknown flag":    {[]string{"-fire"}, 2, "-fire"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer

			code := run(t.Context(), c.arguments, &log, &log)

			require.Equal(t, c.code, code)
			require.Contains(t, log.String(), c.says)
		})
	}
}

func TestLongOneRound(t *testing.T) {
	t.Parallel()
	var out, log bytes.Buffer

	code := run(t.Context(), []string{"-rounds", "1", "-length", "200ms", "-seed", "7", "path"}, &out, &log)

	require.Zero(t, code, "%s%s", &out, &log)
	require.Contains(t, out.String(), "path, seed 7\n")
	require.Contains(t, out.String(), "1 rounds of 1 programs")
	require.Contains(t, out.String(), "first seed 7: faults in 0")
}
