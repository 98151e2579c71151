package persistence

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"reflect"
	"syscall"
)

// Effect says whether a call has done what it was asked for.
type Effect uint8

const (
	// NotDone says that nothing has happened, and that nothing will.
	NotDone Effect = iota
	// Done says that it has happened, and is durable.
	Done
	// MaybeDone says that it may have happened, or may happen yet.
	MaybeDone
)

// String is the effect in words: "not done".
func (e Effect) String() string {
	switch e {
	case Done:
		return "done"
	case MaybeDone:
		return "may be done"
	}
	return "not done"
}

// Class is the meaning of an error for its caller. See [Classify].
type Class struct {
	// Kind is the widest kind that the error belongs to.
	Kind ErrorKind
	// Effect says whether what was asked for has happened.
	Effect Effect
	// Retry says that the same call may succeed later, although nobody changes anything.
	// When Effect is MaybeDone, repeat it only with the same ids: those of the events, or
	// that of the command.
	Retry bool
}

// classes is the one table of what errors mean. One row stands before another that an
// error may match beside it: a missing stream that had to exist is a conflict.
var classes = [...]struct {
	kind  error // as an interface, so that looking for it allocates nothing
	class Class
}{
	{ErrUnknownOutcome, Class{ErrUnknownOutcome, MaybeDone, true}},
	{ErrDone, Class{ErrDone, Done, false}},
	{ErrConflict, Class{ErrConflict, NotDone, false}},
	{ErrUnavailable, Class{ErrUnavailable, NotDone, true}},
	{ErrOverloaded, Class{ErrOverloaded, NotDone, true}},
	{ErrInvalid, Class{ErrInvalid, NotDone, false}},
	{ErrRejected, Class{ErrRejected, NotDone, false}},
	{ErrEventIDReused, Class{ErrEventIDReused, NotDone, false}},
	{ErrNotFound, Class{ErrNotFound, NotDone, false}},
	{ErrFenced, Class{ErrFenced, NotDone, false}},
	{ErrCorrupt, Class{ErrCorrupt, NotDone, false}},
}

// Classes returns the table that [Classify] uses: one row for every kind that has no
// wider one.
func Classes() []Class {
	all := make([]Class, len(classes))
	for i := range classes {
		all[i] = classes[i].class
	}
	return all
}

// Classify says what an error of a journal, a node or one of their parts means: whether
// the call has done what it was asked for, and whether to ask again. The outermost error
// that has a kind decides, not its cause: an unknown outcome stays unknown when its cause
// is a part that was unavailable. Of joined errors the worst decides: maybe done before
// done, and done before not done.
//
// All errors of stele have a kind. For an error without a kind known is false; it is an
// error of a handler or a guard, and counts as [ErrRejected]. An error of a context, a
// file or a network is no answer of a domain: without a kind around it, it counts as
// [ErrUnknownOutcome]. The class of nil is zero.
func Classify(err error) (class Class, known bool) {
	if err == nil {
		return Class{}, false
	}
	if class, known = classify(err); known {
		return class, true
	}
	if foreign(err) {
		return Class{ErrUnknownOutcome, MaybeDone, true}, false
	}
	return Class{ErrRejected, NotDone, false}, false
}

// ErrorKindOf returns the kind by which [Classify] sorts an error, and an empty one for
// nil.
func ErrorKindOf(err error) ErrorKind {
	class, _ := Classify(err)
	return class.Kind
}

func classify(err error) (class Class, known bool) {
	is, _ := err.(interface{ Is(target error) bool })
	for i := range classes {
		if row := &classes[i]; err == row.kind || is != nil && is.Is(row.kind) { //nolint:errorlint // one link of the chain at a time
			return row.class, true
		}
	}
	switch wrapper := err.(type) { //nolint:errorlint // as above
	case interface{ Unwrap() error }:
		if cause := wrapper.Unwrap(); cause != nil {
			return classify(cause)
		}
	case interface{ Unwrap() []error }:
		for _, err := range wrapper.Unwrap() {
			if err == nil {
				continue
			}
			if other, found := classify(err); found && (!known || other.Effect > class.Effect) {
				class, known = other, true
			}
		}
	}
	return class, known
}

// foreign reports an error that tells of a part that was away, and not of a rule.
func foreign(err error) bool {
	for _, known := range [...]error{context.Canceled, context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, io.ErrClosedPipe, net.ErrClosed} {
		if errors.Is(err, known) {
			return true
		}
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		return true
	}
	_, ok := errors.AsType[syscall.Errno](err)
	return ok
}

// Cause returns the cause of an error of a kind, for its Unwrap method. When the kind of
// the cause says something else about what has happened, or about trying again, errors.Is
// no longer finds that kind: it is true of the cause and not of the error. Everything
// else of the cause is found: a context's error, an error of the domain.
func Cause(of ErrorKind, err error) error {
	own, _ := classify(of)
	class, known := Class{}, false
	if err != nil {
		class, known = classify(err)
	}
	if !known || class.Effect == own.Effect && class.Retry == own.Retry {
		return err
	}
	return cause{err}
}

// cause hides the kind of an error, and the types of this package that stand for one.
type cause struct{ err error }

func (c cause) Error() string { return c.err.Error() }

// Is matches what the cause matches, but for kinds.
func (c cause) Is(target error) bool {
	if _, kind := target.(ErrorKind); kind {
		return false
	}
	return errors.Is(c.err, target)
}

// As finds what it finds in the cause, but for types of this package.
func (c cause) As(target any) bool {
	wanted := reflect.TypeOf(target).Elem()
	if wanted.Kind() == reflect.Pointer {
		wanted = wanted.Elem()
	}
	if wanted.PkgPath() == reflect.TypeFor[Error]().PkgPath() {
		return false
	}
	return errors.As(c.err, target) //nolint:forbidigo // the type is not known here
}
