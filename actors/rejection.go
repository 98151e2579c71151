package actors

import (
	"errors"
	"fmt"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// RejectedError is a refusal of the domain that can leave the process in which it was
// made: it is stored with the commands that are remembered, and found again by
// errors.Is wherever it arrives. Make one with [NewError], or register an error
// that you have with [Rejects].
//
// A handler may return any error; its caller gets it unchanged. One that was not
// registered has the code [Unregistered] where it comes out of the store, and
// keeps its text only. The text is stored, so it must not hold personal data.
type RejectedError struct {
	// Kind is that of the aggregates whose domain the code belongs to.
	Kind string
	// Code is what programs recognise the refusal by.
	Code string
	// Text is for people.
	Text string

	known error // the error that was returned, or the one registered under the code here
}

// Unregistered is the code of an error that was not registered.
const Unregistered = "unregistered"

// NewError makes an error of the domain of a kind. It needs no registration: all
// errors of the same kind and code are the same to errors.Is.
//
//	var ErrInsufficient = actors.NewError("account", "insufficient", "insufficient funds")
func NewError(kind, code, text string) error {
	return &RejectedError{Kind: kind, Code: code, Text: text}
}

// Error fulfils error.
func (r *RejectedError) Error() string { return r.Text }

// Unwrap returns the error that the handler has returned, or out of the store the one
// that is registered under the code, if there is one; as [persistence.Cause] shows it.
func (r *RejectedError) Unwrap() error { return persistence.Cause(persistence.ErrRejected, r.known) }

// Is matches [persistence.ErrRejected] and rejections of the same kind and code.
func (r *RejectedError) Is(target error) bool {
	if other, ok := target.(*RejectedError); ok {
		return r.Code != Unregistered && r.Kind == other.Kind && r.Code == other.Code
	}
	return target == persistence.ErrRejected
}

// Rejects registers an error of the domain that was made elsewhere: it has this
// code where it leaves the process, and where a rejection with the code arrives,
// errors.Is finds the error.
func Rejects[S any](code string, sentinel error) Part[S] {
	return func(a *Aggregate[S]) {
		switch {
		case code == "" || code == Unregistered:
			a.d.problem("the code %q of an error is none: choose another", code)
		case sentinel == nil:
			a.d.problem("the error with the code %q is nil", code)
		case a.d.rejects[code] != nil:
			a.d.problem("the code %q stands for two errors: choose another for one", code)
		}
		a.d.rejects[code] = sentinel
		a.d.codes = append(a.d.codes, code)
	}
}

// rejection is the form in which a handler's error is stored. The code is that of
// the first link in the error's chain that has one, the text that of the whole.
func (d *definition) rejection(err error) (own *RejectedError) {
	own = &RejectedError{Kind: d.kind, Code: Unregistered, Text: fmt.Sprintf("the text of a %T cannot be had", err)}
	defer func() { _ = recover() }() // the error may have methods of its own: then there is no more to be said of it
	own.Text = err.Error()
	for _, code := range d.codes {
		if errors.Is(err, d.rejects[code]) {
			own.Code, own.known = code, d.rejects[code]
			return own
		}
	}
	if made, ok := errors.AsType[*RejectedError](err); ok {
		own.Kind, own.Code = made.Kind, made.Code
	}
	return own
}

// refusal is what the caller gets of an error that a handler, or what stands around,
// has returned: the error itself when it says what is true of it, that nothing was done
// and that it comes again. An error that says otherwise does so of something else, such
// as another command whose outcome is not known; and the runtime's own type is left to
// the runtime. They become a rejection that has them as its cause.
func (d *definition) refusal(err error) error {
	class, _ := persistence.Classify(err)
	_, runtimes := err.(*persistence.Error) //nolint:errorlint // the outermost is taken for the runtime's
	if !runtimes && class.Effect == persistence.NotDone && !class.Retry {
		return err
	}
	refused := d.rejection(err)
	refused.known = err
	return refused
}

func (d *definition) decodeRejection(kept *stored.Rejection) *RejectedError {
	r := &RejectedError{Kind: kept.GetKind(), Code: kept.GetCode(), Text: kept.GetText()}
	if r.Kind == d.kind {
		r.known = d.rejects[r.Code]
	}
	return r
}
