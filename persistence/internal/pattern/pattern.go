// Package pattern compiles the regular expressions that callers give, within a
// bound on what matching them may cost. It knows neither filters nor streams.
package pattern

import (
	"regexp"
	"regexp/syntax"
)

// MaxSteps is the size of a pattern once its repetitions are written out. To match
// takes up to so many steps for each byte of text.
const MaxSteps = 4096

// Compile checks a pattern before it compiles it and returns its steps. Neither
// RE2 nor a limit of bytes is enough: a kilobyte with {1000} behind it is a million
// instructions, each of which may run for every byte of every text. A pattern of
// more than [MaxSteps] is not compiled. It reports false for one that is not RE2;
// errors of package regexp quote the pattern, so they stay here.
func Compile(text string) (regex *regexp.Regexp, steps int, ok bool) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return nil, 0, false
	}
	if steps = size(tree); steps > MaxSteps {
		return nil, steps, true
	}
	regex, err = regexp.Compile(text)
	return regex, steps, err == nil
}

// size estimates the instructions that a pattern compiles to. The parser bounds
// the product of nested repetitions, so that it cannot overflow.
func size(tree *syntax.Regexp) int {
	steps := 1
	if tree.Op == syntax.OpLiteral {
		steps = len(tree.Rune)
	}
	for _, sub := range tree.Sub {
		steps += size(sub)
	}
	if tree.Op == syntax.OpRepeat {
		steps *= max(tree.Min, tree.Max, 1)
	}
	return steps
}
