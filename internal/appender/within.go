package appender

import (
	"context"
	"sync/atomic"

	"github.com/stele-es/stele/persistence"
)

// Holding says whether a body of the user's holds up the writers of a journal at this
// moment, so that whatever it asks of the journal beside its transaction would wait for
// itself. The zero Holding does not.
type Holding struct{ now atomic.Bool }

// Begin and End say that the writers wait from now on, and that they go on.
func (h *Holding) Begin() { h.now.Store(true) }

// End takes back what Begin has said.
func (h *Holding) End() { h.now.Store(false) }

// holder finds the holding in the context of a body, by its journal.
type holder struct{ journal any }

// Within marks the context that a body is given; journal is a pointer.
func Within(ctx context.Context, journal any, h *Holding) context.Context {
	return context.WithValue(ctx, holder{journal}, h)
}

// Outside returns [*persistence.InvalidError] for a context of a body that holds up
// the writers whom the caller would be one of.
func Outside(ctx context.Context, journal any) error {
	if h, ok := ctx.Value(holder{journal}).(*Holding); ok && h.now.Load() {
		return &persistence.InvalidError{
			Field: "context", Reason: "is that of a transaction on this journal, which the call would wait for: append by the transaction, or call when it has ended",
		}
	}
	return nil
}
