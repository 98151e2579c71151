package persistence_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestEventIDsAreTimeOrderedUUIDs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		seen := map[persistence.EventID]bool{}
		var last persistence.EventID
		for i := range 5_000 {
			id := persistence.NewEventID()

			require.Equal(t, byte(7), id[6]>>4, "version")
			require.Equal(t, byte(0b10), id[8]>>6, "variant")
			milliseconds := int64(id[0])<<40 | int64(id[1])<<32 | int64(id[2])<<24 | int64(id[3])<<16 | int64(id[4])<<8 | int64(id[5])
			require.Equal(t, time.Now().UnixMilli(), milliseconds)
			require.False(t, seen[id])
			if i%10 == 0 {
				require.Positive(t, bytes.Compare(id[:8], last[:8]), "later by a microsecond")
			} else {
				require.Equal(t, last[:8], id[:8], "at the same time")
			}
			seen[id], last = true, id
			if i%10 == 9 {
				time.Sleep(time.Microsecond)
			}
		}
	})
}

func TestEventIDsAreMadeWithoutAllocation(t *testing.T) { //nolint:paralleltest // it counts
	var id persistence.EventID
	require.Zero(t, testing.AllocsPerRun(100, func() { id = persistence.NewEventID() }))
	require.NotZero(t, id)
}

func TestEventIDText(t *testing.T) {
	t.Parallel()
	id := persistence.EventID{0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80, 0, 0, 0, 0, 0, 0, 0xff}
	require.Equal(t, "018f0000-0000-7000-8000-0000000000ff", id.String())
	parsed, err := persistence.ParseEventID(id.String())
	require.NoError(t, err)
	require.Equal(t, id, parsed)
	for _, text := range []string{
		"", "x", "018f0000-0000-7000-8000-0000000000f", "018f0000-0000-7000-8000-0000000000fg",
		"018f0000000070008000000000000000", "{018f0000-0000-7000-8000-0000000000ff}", "urn:uuid:018f0000-0000-7000-8000-0000000000ff",
	} {
		_, err := persistence.ParseEventID(text)
		invalid(t, err, "event id")
	}
}

func event(change func(*persistence.Event)) persistence.Event {
	e := persistence.Event{
		ID: persistence.EventID{1}, Type: "opened", Schema: 3, Payload: []byte("payload"), Headers: []byte("headers"),
		Metadata: persistence.Metadata{"k": persistence.Int(1)}, Tags: []string{"a"},
	}
	if change != nil {
		change(&e)
	}
	return e
}

func TestSameContent(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*persistence.Event)
		same   bool
	}{
		"nothing":       {func(*persistence.Event) {}, true},
		"id":            {func(e *persistence.Event) { e.ID = persistence.EventID{2} }, true},
		"headers":       {func(e *persistence.Event) { e.Headers = nil }, true},
		"type":          {func(e *persistence.Event) { e.Type = "closed" }, false},
		"schema":        {func(e *persistence.Event) { e.Schema = 4 }, false},
		"payload":       {func(e *persistence.Event) { e.Payload = []byte("other") }, false},
		"metadata":      {func(e *persistence.Event) { e.Metadata = persistence.Metadata{"k": persistence.Int(2)} }, false},
		"metadata kind": {func(e *persistence.Event) { e.Metadata = persistence.Metadata{"k": persistence.Float(1)} }, false},
		"metadata added": {func(e *persistence.Event) {
			e.Metadata = persistence.Metadata{"k": persistence.Int(1), "l": persistence.Int(1)}
		}, false},
		"tags": {func(e *persistence.Event) { e.Tags = []string{"b"} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			one, other := event(nil), event(c.change)
			require.Equal(t, c.same, one.SameContent(&other))
			require.Equal(t, c.same, other.SameContent(&one))
		})
	}
	t.Run("nil and empty are the same", func(t *testing.T) {
		t.Parallel()
		one := persistence.Event{Type: "t"}
		other := persistence.Event{Type: "t", Payload: []byte{}, Metadata: persistence.Metadata{}, Tags: []string{}}
		require.True(t, one.SameContent(&other))
	})
}

// TestLimits tries each limit of an append and one beyond it.
func TestLimits(t *testing.T) {
	t.Parallel()
	one := func(change func(*persistence.Event)) persistence.Append {
		return persistence.Append{Stream: "a-1", Events: []persistence.Event{event(change)}}
	}
	many := func(events, payload int) persistence.Append {
		a := persistence.Append{Stream: "a-1", Events: make([]persistence.Event, events)}
		for i := range a.Events {
			a.Events[i] = persistence.Event{Type: "t", Payload: make([]byte, payload)}
		}
		return a
	}
	keys := func(count int) persistence.Metadata {
		m := persistence.Metadata{}
		for i := range count {
			m[fmt.Sprint("k", i)] = persistence.Int(1)
		}
		return m
	}
	sized := func(bytes int) persistence.Append { // of so many bytes in all
		a := many(9, persistence.MaxAppendBytes/9)
		last := &a.Events[8]
		last.Payload = make([]byte, len(last.Payload)+bytes-a.Size())
		return a
	}
	for field, c := range map[string]struct{ at, beyond persistence.Append }{
		"stream": {
			persistence.Append{Stream: persistence.StreamID(strings.Repeat("s", persistence.MaxStreamName))},
			persistence.Append{Stream: persistence.StreamID(strings.Repeat("s", persistence.MaxStreamName+1))},
		},
		"type": {
			one(func(e *persistence.Event) { e.Type = strings.Repeat("t", persistence.MaxEventType) }),
			one(func(e *persistence.Event) { e.Type = strings.Repeat("t", persistence.MaxEventType+1) }),
		},
		"payload": {
			one(func(e *persistence.Event) { e.Payload = make([]byte, persistence.MaxPayload) }),
			one(func(e *persistence.Event) { e.Payload = make([]byte, persistence.MaxPayload+1) }),
		},
		"headers": {
			one(func(e *persistence.Event) { e.Headers = make([]byte, persistence.MaxHeaders) }),
			one(func(e *persistence.Event) { e.Headers = make([]byte, persistence.MaxHeaders+1) }),
		},
		"schema": {
			one(func(e *persistence.Event) { e.Schema = 0 }),
			one(func(e *persistence.Event) { e.Schema = -1 }),
		},
		"events": {many(persistence.MaxAppendEvents, 0), many(persistence.MaxAppendEvents+1, 0)},
		"metadata": {
			one(func(e *persistence.Event) { e.Metadata = keys(persistence.MaxMetadataKeys) }),
			one(func(e *persistence.Event) { e.Metadata = keys(persistence.MaxMetadataKeys + 1) }),
		},
		"metadata key": {
			one(func(e *persistence.Event) {
				e.Metadata = persistence.Metadata{strings.Repeat("k", persistence.MaxMetadataKey): persistence.Int(1)}
			}),
			one(func(e *persistence.Event) {
				e.Metadata = persistence.Metadata{strings.Repeat("k", persistence.MaxMetadataKey+1): persistence.Int(1)}
			}),
		},
		"expected": {
			persistence.Append{Stream: "a-1", Expected: persistence.Exact(persistence.MaxVersion - 1), Events: many(1, 0).Events},
			persistence.Append{Stream: "a-1", Expected: persistence.Exact(persistence.MaxVersion), Events: many(1, 0).Events},
		},
	} {
		t.Run(field, func(t *testing.T) {
			t.Parallel()
			require.NoError(t, c.at.Check())
			invalid(t, c.beyond.Check(), field)
		})
	}
	t.Run("bytes of an append", func(t *testing.T) {
		t.Parallel()
		at, beyond := sized(persistence.MaxAppendBytes), sized(persistence.MaxAppendBytes+1)
		require.Equal(t, persistence.MaxAppendBytes, at.Size())
		require.NoError(t, at.Check())
		invalid(t, beyond.Check(), "events")
	})
	t.Run("bytes of metadata", func(t *testing.T) {
		t.Parallel()
		room := persistence.MaxMetadataBytes - 1 - 8
		at := persistence.Metadata{"k": persistence.String(strings.Repeat("x", room))}
		beyond := persistence.Metadata{"k": persistence.String(strings.Repeat("x", room+1))}
		require.NoError(t, at.Check())
		invalid(t, beyond.Check(), "metadata")
	})
}

func TestCheck(t *testing.T) {
	t.Parallel()
	id, other := persistence.EventID{1}, persistence.EventID{2}
	with := func(ids ...persistence.EventID) persistence.Append {
		a := persistence.Append{Stream: "a-1"}
		for _, id := range ids {
			a.Events = append(a.Events, persistence.Event{ID: id, Type: "t"})
		}
		return a
	}
	typed := func(text string) persistence.Append {
		return persistence.Append{Stream: "a-1", Events: []persistence.Event{{Type: text}}}
	}
	expecting := func(expected persistence.Expected) persistence.Append {
		return persistence.Append{Stream: "a-1", Expected: expected}
	}
	for name, c := range map[string]struct {
		append persistence.Append
		field  string // "" is valid
		named  bool
	}{
		"no events":                {with(), "", false},
		"ids to be made":           {with(persistence.EventID{}, persistence.EventID{}), "", false},
		"ids of the caller":        {with(id, other), "", true},
		"an id twice":              {with(id, other, id), "event id", true},
		"an id for the first only": {with(id, persistence.EventID{}), "event id", true},
		"an id for the last only":  {with(persistence.EventID{}, id), "event id", false},
		"any version":              {expecting(persistence.Any), "", false},
		"an existing stream":       {expecting(persistence.StreamExists), "", false},
		"an unknown expectation":   {expecting(-3), "expected", false},
		"a version beyond all":     {expecting(persistence.Exact(persistence.MaxVersion + 1)), "expected", false},
		"a system stream":          {persistence.Append{Stream: "$timers"}, "", false},
		"a system type":            {typed("$type"), "", false},
		"a tombstone":              {typed(persistence.TypeDeleted), "type", false},
		"a husk":                   {typed(persistence.TypeGone), "type", false},
		"a type with a break":      {typed("a\nb"), "type", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.Equal(t, c.named, c.append.Named())
			if c.field == "" {
				require.NoError(t, c.append.Check())
			} else {
				invalid(t, c.append.Check(), c.field)
			}
		})
	}
	for name, text := range badTexts {
		t.Run("stream and type: "+name, func(t *testing.T) {
			t.Parallel()
			invalid(t, (&persistence.Append{Stream: persistence.StreamID(text)}).Check(), "stream")
			a := typed(text)
			invalid(t, a.Check(), "type")
		})
	}
	t.Run("nothing of the input stands in an error", func(t *testing.T) {
		t.Parallel()
		const secret = "secret\x00secret"
		for _, a := range []persistence.Append{
			{Stream: secret},
			typed(secret),
			{Stream: "a-1", Events: []persistence.Event{{Type: "t", Metadata: persistence.Metadata{secret: persistence.Int(1)}}}},
			{Stream: "a-1", Events: []persistence.Event{{Type: "t", Metadata: persistence.Metadata{"k": persistence.String(secret)}}}},
			{Stream: "a-1", Events: []persistence.Event{{Type: "t", Tags: []string{secret}}}},
		} {
			require.NotContains(t, a.Check().Error(), "secret")
		}
	})
	t.Run("says which event", func(t *testing.T) {
		t.Parallel()
		a := with(persistence.EventID{}, persistence.EventID{})
		a.Events[1].Type = ""
		require.EqualError(t, a.Check(), "event 1: invalid: type is empty")
	})
}

func TestReadOptions(t *testing.T) {
	t.Parallel()
	require.NoError(t, persistence.ReadOptions{}.Check())
	require.NoError(t, persistence.ReadOptions{From: persistence.MaxVersion, Limit: 1, Backward: true}.Check())
	invalid(t, persistence.ReadOptions{From: persistence.MaxVersion + 1}.Check(), "from")
	invalid(t, persistence.ReadOptions{Limit: -1}.Check(), "limit")
}

func TestReadAllOptions(t *testing.T) {
	t.Parallel()
	filled, err := persistence.ReadAllOptions{}.Normal()
	require.NoError(t, err)
	require.Equal(t, persistence.ReadAllOptions{PageRows: persistence.DefaultPageRows, PageBytes: persistence.DefaultPageBytes}, filled)
	filled, err = persistence.ReadAllOptions{PageRows: persistence.MaxPageRows + 1, PageBytes: 1}.Normal()
	require.NoError(t, err)
	require.Equal(t, persistence.MaxPageRows, filled.PageRows)
	require.Equal(t, 1, filled.PageBytes)
	for field, options := range map[string]persistence.ReadAllOptions{
		"page rows": {PageRows: -1}, "page bytes": {PageBytes: -1}, "after": {After: persistence.Positions{1, -1}},
	} {
		_, err := options.Normal()
		invalid(t, err, field)
	}
}
