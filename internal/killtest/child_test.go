package killtest_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/killtest"
)

func TestMain(m *testing.M) {
	killtest.Main(map[string]killtest.Role{
		"repeat": repeat,
		"fail":   func(context.Context, []string) error { return errors.New("on purpose") },
		"end": func(_ context.Context, arguments []string) error {
			fmt.Print(arguments[0], "\nhalf a line") //nolint:forbidigo // to the test that started it
			return nil
		},
	})
	goleak.VerifyTestMain(m)
}

// repeat says what it is told, after a line for each of its arguments.
func repeat(_ context.Context, arguments []string) error {
	for _, argument := range arguments {
		fmt.Println(argument) //nolint:forbidigo // to the test that started it
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		fmt.Println("heard", lines.Text()) //nolint:forbidigo // to the test that started it
	}
	return nil
}

func TestChild(t *testing.T) {
	t.Parallel()
	t.Run("says and hears lines, and tells nothing after it was killed", func(t *testing.T) {
		t.Parallel()
		child := killtest.Start(t, "repeat", "one", "two")
		line, ok := child.Line()
		require.True(t, ok)
		require.Equal(t, "one", line)
		child.Say("three")
		_, ok = child.Line()
		require.True(t, ok)
		line, ok = child.Line()
		require.True(t, ok)
		require.Equal(t, "heard three", line)

		require.Empty(t, child.Kill())

		_, ok = child.Line()
		require.False(t, ok)
		require.ErrorContains(t, child.Wait(), "killed")
		child.Say("nobody hears this")
		require.Empty(t, child.Kill(), "it may be called again")
	})

	t.Run("is waited for", func(t *testing.T) {
		t.Parallel()
		child := killtest.Start(t, "end", "said")
		require.Equal(t, []string{"said"}, child.Rest(), "whole lines only")
		require.NoError(t, child.Wait())
		require.Error(t, killtest.Start(t, "fail").Wait())
	})
}
