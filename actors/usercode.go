package actors

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// User code returns, panics, or ends its goroutine, as require and mocks do when a test
// fails. It may panic or end its goroutine: every caller still gets an answer, and no
// worker of ours ends.

// ended says how user code has ended that did not return: reason is the result of
// recover, nil when the goroutine was ended. The value of a panic may hold anything, so
// it is left out unless the configuration asks for it, or it is the Go runtime's own.
func (s *System) ended(reason any) error { return ended(reason, s.config.ShowPanics) }

func ended(reason any, show bool) error {
	_, runtimes := reason.(runtime.Error)
	switch {
	case reason == nil:
		return usercode.Exited()
	case show && !runtimes:
		return fmt.Errorf("panicked with a %T: %v", reason, reason)
	}
	return usercode.Panicked(reason)
}

// traced is ended for the log, with the stack.
func (s *System) traced(reason any) error {
	return fmt.Errorf("%w\n%s", s.ended(reason), debug.Stack())
}

// refused is the answer to a command in whose decision user code did not return. Nothing
// was stored.
func (s *System) refused(reason any) error {
	return &persistence.Error{Kind: persistence.ErrRejected, Reason: ReasonPanic, Err: s.ended(reason)}
}

// caught makes an error of a panic in user code that runs on the goroutine of a caller:
// nothing was done then. A caller's goroutine that is ended is the caller's own affair.
func (s *System) caught(err *error) {
	if reason := recover(); reason != nil {
		s.config.Logger.Error("user code panicked", "err", s.traced(reason))
		*err = s.refused(reason)
	}
}
