package usercode

import (
	"bytes"
	"context"
	"log/slog"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// ending is a handler of which one method does not return.
type ending struct {
	slog.Handler
	method string
	end    func()
}

func (e ending) at(method string) {
	if e.method == method {
		e.end()
	}
}

func (e ending) Enabled(ctx context.Context, level slog.Level) bool {
	e.at("Enabled")
	return e.Handler.Enabled(ctx, level)
}

func (e ending) Handle(ctx context.Context, record slog.Record) error {
	e.at("Handle")
	return e.Handler.Handle(ctx, record)
}

func (e ending) WithAttrs(attributes []slog.Attr) slog.Handler {
	e.at("WithAttrs")
	return ending{e.Handler.WithAttrs(attributes), e.method, e.end}
}

func (e ending) WithGroup(name string) slog.Handler {
	e.at("WithGroup")
	return ending{e.Handler.WithGroup(name), e.method, e.end}
}

func TestALoggerThatDoesNotReturnEndsNobodyElse(t *testing.T) {
	t.Parallel()
	ends := map[string]func(){"panics": func() { panic("secret") }, "ends its goroutine": runtime.Goexit}
	for _, method := range []string{"Enabled", "Handle", "WithAttrs", "WithGroup", "nothing"} {
		for how, end := range ends {
			t.Run(method+" "+how, func(t *testing.T) {
				t.Parallel()
				var lines, last bytes.Buffer
				logger := guarded(slog.New(ending{slog.NewTextHandler(&lines, nil), method, end}), &last)

				require.Same(t, logger, Logger(logger))
				for range 3 {
					logger.With("kind", "value").WithGroup("group").Info("a line", "node", "a")
					logger.Debug("not wanted")
				}

				said := 3
				if method == "Handle" {
					said = 0
				}
				require.Equal(t, said, strings.Count(lines.String(), "a line"))
				require.NotContains(t, last.String(), "secret")
				told := 1
				if method == "nothing" {
					told = 0
				}
				require.Equal(t, told, strings.Count(last.String(), "lines of the log are lost"))
			})
		}
	}
}

func TestWithoutALoggerTheDefaultOneIsTaken(t *testing.T) {
	t.Parallel()
	require.Same(t, slog.Default().Handler(), Logger(nil).Handler().(*handler).Handler) //nolint:forcetypeassert // a test
}
