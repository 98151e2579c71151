package appending

import (
	"errors"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// ErrUnproven is the reason to give an append's connection up although it has answered.
var ErrUnproven = errors.New("the answer does not tell whether the append was stored")

// Public reduces an error to what may be shown.
func Public(err error) error {
	for _, own := range []error{ErrUnproven, wire.ErrUndecodable} {
		if errors.Is(err, own) {
			return own
		}
	}
	return pgsession.Public(err)
}

// Unavailable returns an error that may be shown, with a reason.
func Unavailable(reason string, err error) *persistence.UnavailableError {
	return &persistence.UnavailableError{Reason: reason, Err: Public(err)}
}

// Contradiction returns the error of an append whose function answers something else than it
// promises.
func Contradiction(stream persistence.StreamID) error {
	return &persistence.CorruptError{Stream: stream, Reason: "a function of the journal contradicts itself"}
}

// OtherStream is the code that the server raises when ids mean other streams than a statement
// says; see unproven in the migrations.
const OtherStream = "ST005"
