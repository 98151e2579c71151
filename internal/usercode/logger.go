package usercode

import (
	"context"
	"io"
	"log/slog"
	"os"
	"sync"
)

// Logger returns a logger that writes what a given one writes, and comes back whatever
// the handler of that one does: a line that is lost must not end the part of the program
// that wrote it. The first time that the handler does not return is told on the standard
// error, which is all that is left then. Without a logger it takes slog.Default().
func Logger(logger *slog.Logger) *slog.Logger { return guarded(logger, os.Stderr) }

func guarded(logger *slog.Logger, last io.Writer) *slog.Logger {
	if logger == nil {
		logger = slog.Default()
	}
	if _, ok := logger.Handler().(*handler); ok {
		return logger
	}
	return slog.New(&handler{Handler: logger.Handler(), tell: sync.OnceFunc(func() {
		slog.New(slog.NewTextHandler(last, nil)).Error("the handler of the logger did not return, lines of the log are lost")
	})})
}

// handler calls a handler of the user's, and survives it.
type handler struct {
	slog.Handler
	tell func() // once for all that were made of one handler
}

// try calls f, which calls the handler.
func (h *handler) try(f func() error) error {
	err := Call(f)
	if _, ok := err.(*EndedError); ok { //nolint:errorlint // as Call returns it
		h.tell()
	}
	return err
}

// Enabled fulfils slog.Handler. A line is wanted when the handler cannot tell.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	enabled := true
	_ = h.try(func() error { // enabled then
		enabled = h.Handler.Enabled(ctx, level)
		return nil
	})
	return enabled
}

// Handle fulfils slog.Handler.
func (h *handler) Handle(ctx context.Context, record slog.Record) error {
	return h.try(func() error { return h.Handler.Handle(ctx, record) })
}

// WithAttrs fulfils slog.Handler.
func (h *handler) WithAttrs(attributes []slog.Attr) slog.Handler {
	return h.made(func() slog.Handler { return h.Handler.WithAttrs(attributes) })
}

// WithGroup fulfils slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return h.made(func() slog.Handler { return h.Handler.WithGroup(name) })
}

// made is the handler that make returns, or the one that is there when it returns none.
func (h *handler) made(make func() slog.Handler) slog.Handler {
	made := h.Handler
	_ = h.try(func() error { // the handler that is there
		made = make()
		return nil
	})
	return &handler{Handler: made, tell: h.tell}
}
