package persistence

import "slices"

// Limits of tags: how many one event carries, and the bytes of one.
const (
	MaxTags = 32
	MaxTag  = 128
)

func checkTags(tags []string) error {
	if len(tags) > MaxTags {
		return &InvalidError{Field: "tags", Reason: "are too many", Size: len(tags), Limit: MaxTags}
	}
	for i, tag := range tags {
		if err := checkText("tag", tag, MaxTag); err != nil {
			return err
		}
		if slices.Contains(tags[:i], tag) {
			return &InvalidError{Field: "tag", Reason: "stands twice"}
		}
	}
	return nil
}

// sameTags compares as sets, because a store may give tags back in another
// order. No tag stands twice, so equal lengths and one inclusion are enough.
func sameTags(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for _, tag := range a {
		if !slices.Contains(b, tag) {
			return false
		}
	}
	return true
}
