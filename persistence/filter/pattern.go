package filter

import (
	"regexp"
	"regexp/syntax"

	"github.com/stele-es/stele/persistence"
)

// compile checks a pattern before it compiles it. Neither RE2 nor a limit of
// bytes is enough: a kilobyte with {1000} behind it is a million instructions,
// each of which may run for every byte of every event.
func (f field) compile(pattern string) (*regexp.Regexp, int, *persistence.InvalidError) {
	// Errors of package regexp quote the pattern, so they stay here.
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, 0, f.fault("has a pattern that is not RE2")
	}
	size := steps(tree)
	if size > MaxRegexSteps {
		err := f.fault("has a pattern that repeats too much")
		err.Size, err.Limit = size, MaxRegexSteps
		return nil, 0, err
	}
	regex, err := regexp.Compile(pattern)
	if err != nil {
		return nil, 0, f.fault("has a pattern that is not RE2")
	}
	return regex, size, nil
}

// steps estimates the instructions that a pattern compiles to. The parser bounds
// the product of nested repetitions, so that it cannot overflow.
func steps(tree *syntax.Regexp) int {
	size := 1
	if tree.Op == syntax.OpLiteral {
		size = len(tree.Rune)
	}
	for _, sub := range tree.Sub {
		size += steps(sub)
	}
	if tree.Op == syntax.OpRepeat {
		size *= max(tree.Min, tree.Max, 1)
	}
	return size
}
