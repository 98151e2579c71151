// Package usercode calls functions that others have written, from goroutines that must
// go on whatever those do: return, panic, or end their goroutine, as require and mocks
// do when a test fails.
//
//	err := usercode.Call(func() error { return handler(ctx, event) })
//	if ended, ok := err.(*usercode.EndedError); ok { … } // it did not return
//
// It gives a function no limit of time: who calls waits until it is over.
package usercode

import (
	"fmt"
	"runtime"
)

// EndedError reports a function that did not return. It leaves out the value of a
// panic, which may hold anything, unless it is an error of the Go runtime.
type EndedError struct{ text string }

// Error fulfils error. It continues a sentence: "the handler panicked with a string".
func (e *EndedError) Error() string { return e.text }

// Panicked is the error for what recover has returned.
func Panicked(reason any) *EndedError {
	if known, ok := reason.(runtime.Error); ok {
		return &EndedError{fmt.Sprintf("panicked with a %T: %v", reason, known)}
	}
	return &EndedError{fmt.Sprintf("panicked with a %T", reason)}
}

// Exited is the error for a function whose goroutine was ended by runtime.Goexit.
func Exited() *EndedError {
	return &EndedError{"ended its goroutine with runtime.Goexit, as require and mocks do when a test fails"}
}

// Call calls f in a goroutine of its own, waits until it is over, and returns its error,
// or an [*EndedError] when it did not return.
func Call(f func() error) error {
	result := make(chan error, 1)
	go func() { // awaited below
		err := error(Exited())
		defer func() {
			if reason := recover(); reason != nil {
				err = Panicked(reason)
			}
			result <- err
		}()
		err = f()
	}()
	return <-result
}

// Each calls f with 0 to n-1, in this order and in a goroutine of its own, and waits
// until all are over. One that does not return keeps none of the others from being
// called; ended, on the goroutine of the caller, is told of it at once.
func Each(n int, f func(i int), ended func(i int, err error)) {
	for i := 0; i < n; i++ {
		err := Call(func() error {
			for ; i < n; i++ {
				f(i)
			}
			return nil
		})
		if err != nil {
			ended(i, err)
		}
	}
}
