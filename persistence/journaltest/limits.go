package journaltest

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var limits = cases{
	"a value at a limit is stored, and a value above it refused": limitsHold,
	"an append of the greatest size is stored":                   limitOfAppend,
}

// limitsHold tries values at each limit and one above it.
func limitsHold(t *testing.T, s suite) {
	j := s.open(t)
	one := func(e persistence.Event) []persistence.Event {
		e.Type = "limited"
		return []persistence.Event{e}
	}
	sized := map[string]struct {
		limit  int
		events func(size int) []persistence.Event
	}{
		"payload": {persistence.MaxPayload, func(n int) []persistence.Event { return one(persistence.Event{Payload: make([]byte, n)}) }},
		"headers": {persistence.MaxHeaders, func(n int) []persistence.Event { return one(persistence.Event{Headers: make([]byte, n)}) }},
		"events":  {persistence.MaxAppendEvents, func(n int) []persistence.Event { return notes("n", n) }},
		"type":    {persistence.MaxEventType, func(n int) []persistence.Event { return []persistence.Event{{Type: strings.Repeat("t", n)}} }},
		"metadata keys": {persistence.MaxMetadataKeys, func(n int) []persistence.Event {
			m := persistence.Metadata{}
			for i := range n {
				m[fmt.Sprint(i)] = persistence.Int(int64(i))
			}
			return one(persistence.Event{Metadata: m})
		}},
		"metadata key": {persistence.MaxMetadataKey, func(n int) []persistence.Event {
			return one(persistence.Event{Metadata: persistence.Metadata{strings.Repeat("k", n): persistence.Bool(true)}})
		}},
		"metadata": {persistence.MaxMetadataBytes, func(n int) []persistence.Event {
			text := strings.Repeat(`"`, n-9) // a value counts its text, its key and 8
			return one(persistence.Event{Metadata: persistence.Metadata{"k": persistence.String(text)}})
		}},
	}
	for name, c := range sized {
		stream := persistence.StreamID("limit-" + name)
		j.refuses(persistence.ErrInvalid, persistence.Append{Stream: stream, Events: c.events(c.limit + 1)})
		j.missing(stream)
		events := c.events(c.limit)
		j.store(stream, persistence.NoStream, events...)
		cameBack(j, stream, events)
	}
}

func limitOfAppend(t *testing.T, s suite) {
	j := s.open(t)
	a := persistence.Append{Stream: "large-1", Expected: persistence.NoStream}
	for i := range byte(8) {
		a.Events = append(a.Events, persistence.Event{Type: "large", Payload: bytes.Repeat([]byte{i}, persistence.MaxPayload)})
	}
	last := &a.Events[7]
	last.Payload = last.Payload[:len(last.Payload)-(a.Size()-persistence.MaxAppendBytes)]
	require.Equal(t, persistence.MaxAppendBytes, a.Size())

	above := a
	above.Stream += "0"
	j.refuses(persistence.ErrInvalid, above)
	require.NoError(t, j.tryAll(a)[0].Err)

	cameBack(j, "large-1", a.Events)
	j.missing(above.Stream)
	pages := 0
	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		require.LessOrEqual(t, bytesOf(page.Events), persistence.DefaultPageBytes, "pages are limited in bytes by default")
		pages++
	}
	require.GreaterOrEqual(t, pages, 2)
}
