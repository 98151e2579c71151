package wallclock_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors/internal/wallclock"
)

type node struct {
	Next *node
	At   any
}

func TestFind(t *testing.T) {
	t.Parallel()
	from := time.Date(2026, 5, 6, 7, 8, 9, 10, time.UTC)
	span := wallclock.Span{From: from, Until: from.Add(time.Millisecond)}
	ring := &node{}
	ring.Next = ring
	for name, c := range map[string]struct {
		value any
		at    string
		found bool
	}{
		"a time":               {from, "", true},
		"one cut to the day":   {from.Truncate(24 * time.Hour), "", true},
		"the day before":       {from.AddDate(0, 0, -1), "", false},
		"seconds":              {[]int64{1, from.Unix()}, "[1]", true},
		"nanoseconds in a map": {map[string]int64{"a": from.UnixNano() + 1}, "[]", true},
		"a text with the date": {&node{Next: &node{At: fmt.Sprint("on ", from.Format(time.DateOnly))}}, ".Next.At", true},
		"another number":       {from.Unix() + 2, "", false},
		"a ring":               {ring, "", false},
		"nothing":              {nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			at, found := span.Find(c.value)

			require.Equal(t, c.found, found)
			require.Equal(t, c.at, at)
		})
	}
}
