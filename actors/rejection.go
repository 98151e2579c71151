package actors

import (
	"errors"
	"fmt"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// RejectedError is a refusal by the domain that can leave the process in which it was made:
// it is stored with the commands that are remembered, and errors.Is finds it wherever it
// arrives. Make one with [NewError], or register an error that you have with [Rejects].
//
// A handler may return any error; its caller gets it unchanged. An error that was not
// registered is stored with the code [Unregistered] and its text only. The text is stored,
// so it must not hold personal data.
type RejectedError struct {
	// Kind is the kind of aggregates that defines the code.
	Kind string
	// Code identifies the refusal, for programs.
	Code string
	// Text says why, for people.
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

// Unwrap returns the error of the handler, or for a stored rejection the error that is
// registered under its code, if there is one. It returns it as [persistence.Cause] shows it.
func (r *RejectedError) Unwrap() error { return persistence.Cause(persistence.ErrRejected, r.known) }

// Is matches [persistence.ErrRejected] and rejections of the same kind and code.
func (r *RejectedError) Is(target error) bool {
	if other, ok := target.(*RejectedError); ok {
		return r.Code != Unregistered && r.Kind == other.Kind && r.Code == other.Code
	}
	return target == persistence.ErrRejected
}

// Rejects registers an error that was made elsewhere under a code. The error leaves the
// process with this code, and errors.Is finds the error in a rejection that arrives with it.
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

// rejection returns a handler's error in the form in which it is stored. The code is the
// first one in the error's chain, the text is that of the whole error.
func (d *definition) rejection(err error) (own *RejectedError) {
	own = &RejectedError{Kind: d.kind, Code: Unregistered, Text: fmt.Sprintf("the text of a %T cannot be had", err)}
	defer func() { _ = recover() }() // the error may have methods of its own, which panic
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

// refusal returns the error that a caller gets when a handler, or a function of
// Config.Around, has returned one. It is that error, if it says that nothing was done and
// that asking again does not help, which is true. An error that says otherwise speaks of
// something else, such as another command whose outcome is unknown, and
// [*persistence.Error] is reserved for the runtime: they become the cause of a rejection.
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
