//go:build !unix

package pgserver

import (
	"context"
	"errors"
	"time"
)

// Server cannot run on this platform: [Start] always fails.
type Server struct{}

// Start fails and says what to do instead.
func Start(context.Context, ...Option) (*Server, error) { return nil, errors.New(Missing) }

// URL returns nothing.
func (*Server) URL() string { return "" }

// DatabaseURL returns nothing.
func (*Server) DatabaseURL(string) string { return "" }

// Socket returns nothing.
func (*Server) Socket() string { return "" }

// Restart does nothing.
func (*Server) Restart(context.Context) error { return nil }

// Kill does nothing.
func (*Server) Kill() error { return nil }

// Abort does nothing.
func (*Server) Abort() error { return nil }

// SlowDown does nothing.
func (*Server) SlowDown(time.Duration) error { return nil }

// Pause does nothing.
func (*Server) Pause() {}

// BecomeStandby does nothing.
func (*Server) BecomeStandby() error { return nil }

// Standby does nothing.
func (*Server) Standby(context.Context) (*Server, error) { return nil, errors.New(Missing) }

// Resume does nothing.
func (*Server) Resume() {}

// KillBackend does nothing.
func (*Server) KillBackend(int) {}

// Stop does nothing.
func (*Server) Stop() error { return nil }

// Pooler cannot run on this platform: [StartPooler] always fails.
type Pooler struct{}

// StartPooler fails and says what to do instead.
func StartPooler(context.Context, string, ...string) (*Pooler, error) {
	return nil, errors.New(MissingPooler)
}

// URL returns nothing.
func (*Pooler) URL(string) string { return "" }

// Stop does nothing.
func (*Pooler) Stop() error { return nil }
