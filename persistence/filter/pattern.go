package filter

import (
	"regexp"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/internal/pattern"
)

// compile reads a regular expression, and counts the steps that matching it can take.
func compile(f field, text string) (*regexp.Regexp, int, *persistence.InvalidError) {
	regex, steps, ok := pattern.Compile(text)
	switch {
	case !ok:
		return nil, 0, f.fault("has a pattern that is not RE2")
	case regex == nil:
		err := f.fault("has a pattern that repeats too much")
		err.Size, err.Limit = steps, MaxRegexSteps
		return nil, 0, err
	}
	return regex, steps, nil
}
