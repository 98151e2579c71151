package persistence

import (
	"errors"
	"strings"
)

// ConfigError reports everything that is wrong with a configuration, and what to do about
// it. It is of kind [ErrInvalid]: nothing was started.
type ConfigError struct {
	// Problems lists the faults, each once.
	Problems []error
}

// Misconfigured returns a [*ConfigError] that lists problems, or nil when all of them are
// nil. Joined errors, and those of the parts of a configuration, are listed one by one,
// and equal ones once.
func Misconfigured(problems ...error) error {
	e := &ConfigError{}
	e.add(map[string]bool{}, problems)
	if len(e.Problems) == 0 {
		return nil
	}
	return e
}

func (e *ConfigError) add(seen map[string]bool, problems []error) {
	for _, problem := range problems {
		if parts := apart(problem); parts != nil {
			e.add(seen, parts)
			continue
		}
		if problem == nil || seen[problem.Error()] {
			continue
		}
		seen[problem.Error()] = true
		e.Problems = append(e.Problems, problem)
	}
}

// apart returns what an error joins that adds no text of its own.
func apart(problem error) []error {
	switch joined := problem.(type) { //nolint:errorlint // what wraps others in a text stays whole
	case *ConfigError:
		return joined.Problems
	case interface{ Unwrap() []error }:
		if parts := joined.Unwrap(); problem.Error() == errors.Join(parts...).Error() {
			return parts
		}
	}
	return nil
}

// Error lists the problems, each on a line of its own.
func (e *ConfigError) Error() string {
	var text strings.Builder
	text.WriteString("invalid configuration:")
	for _, problem := range e.Problems {
		if len(e.Problems) == 1 {
			return text.String() + " " + problem.Error()
		}
		text.WriteString("\n- " + problem.Error())
	}
	return text.String()
}

// Unwrap returns the problems as [Cause] shows them.
func (e *ConfigError) Unwrap() []error {
	problems := make([]error, len(e.Problems))
	for i := range problems {
		problems[i] = Cause(ErrInvalid, e.Problems[i])
	}
	return problems
}

// Is matches [ErrInvalid].
func (e *ConfigError) Is(target error) bool { return target == ErrInvalid }
