package journalkit

import (
	"context"

	"github.com/stele-es/stele/persistence"
)

// Closed is the answer of a journal that is closed: [*persistence.UnavailableError].
func Closed() error { return &persistence.UnavailableError{Reason: "the journal is closed"} }

// CallerLeft is the answer to a call whose context has ended: a
// [*persistence.UnavailableError] that wraps the cause.
func CallerLeft(ctx context.Context) error {
	return &persistence.UnavailableError{Reason: "the caller left", Err: context.Cause(ctx)}
}
