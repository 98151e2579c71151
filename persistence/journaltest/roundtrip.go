package journaltest

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var negativeZero = math.Copysign(0, -1)

var roundTrips = cases{
	"an event comes back as it was given":              roundTripEvents,
	"metadata comes back with its kinds":               roundTripMetadata,
	"the time of an event is in UTC with microseconds": roundTripTime,
}

// cameBack requires that a stream holds these events, by every way to read it.
func cameBack(j journal, stream persistence.StreamID, given []persistence.Event) {
	j.t.Helper()
	read := j.events(stream)
	require.Len(j.t, read, len(given))
	for i := range given {
		got := read[i].Event
		require.True(j.t, given[i].SameContent(&got), "event %d: %s", i, difference(&given[i], &got))
		require.True(j.t, bytes.Equal(given[i].Headers, got.Headers), "headers of event %d come back unchanged", i)
		require.True(j.t, given[i].ID == persistence.EventID{} || given[i].ID == got.ID, "the chosen id of event %d comes back", i)
	}
	var inSequence []persistence.Recorded
	for _, recorded := range j.all() {
		if recorded.Stream == stream {
			inSequence = append(inSequence, recorded)
		}
	}
	require.True(j.t, samePlain(read, inSequence), "the global sequence shows the same events as the stream")
	if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
		page, err := pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: stream, Limit: len(given)}})
		require.NoError(j.t, err)
		require.NoError(j.t, page[0].Err)
		require.True(j.t, samePlain(read, page[0].Events), "a page shows the same events as the stream")
	}
}

// samePlain compares events without printing them, which may be megabytes.
func samePlain(a, b []persistence.Recorded) bool {
	return reflect.DeepEqual(plain(a), plain(b))
}

// difference says which fields of two events differ.
func difference(a, b *persistence.Event) string {
	switch {
	case a.Type != b.Type:
		return fmt.Sprintf("type %q came back as %q", a.Type, b.Type)
	case a.Schema != b.Schema:
		return fmt.Sprintf("schema %d came back as %d", a.Schema, b.Schema)
	case !bytes.Equal(a.Payload, b.Payload):
		return fmt.Sprintf("a payload of %d bytes came back as another of %d", len(a.Payload), len(b.Payload))
	}
	if left, right := slices.Sorted(slices.Values(a.Tags)), slices.Sorted(slices.Values(b.Tags)); !slices.Equal(left, right) {
		return fmt.Sprintf("tags %q came back as %q", left, right)
	}
	for key, value := range a.Metadata {
		if b.Metadata[key] != value {
			return fmt.Sprintf("metadata %q: %.80q came back as %.80q", key, value.Text(), b.Metadata[key].Text())
		}
	}
	return "there is more metadata than was given"
}

func roundTripEvents(t *testing.T, s suite) {
	j := s.open(t)
	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	events := []persistence.Event{
		{Type: "nothing"},
		{Type: "empty", Payload: []byte{}, Headers: []byte{}, Metadata: persistence.Metadata{}},
		{Type: "payload", Payload: every},
		{Type: "headers", Headers: every},
		{Type: "both", Payload: []byte("p"), Headers: []byte("h")},
		{Type: "zeros", Payload: make([]byte, 3), Headers: make([]byte, 1)},
		{Type: "text", Payload: []byte(`\x00 \u0000 '); DROP TABLE event; -- "`)},
		{Type: "not UTF-8", Payload: []byte("\xff\xfe\x80")},
		{Type: "schema", Schema: 1},
		{Type: "last schema", Schema: math.MaxInt32},
		{Type: "all", Schema: 3, Payload: every, Headers: every, Metadata: persistence.Metadata{"k": persistence.String("v")}},
	}

	j.store("unnamed-1", persistence.NoStream, events...)
	cameBack(j, "unnamed-1", events)

	j.store("named-1", persistence.NoStream, named(events...)...)
	cameBack(j, "named-1", events)
}

func roundTripMetadata(t *testing.T, s suite) {
	j := s.open(t)
	values := metadataValues()
	require.LessOrEqual(t, len(values), persistence.MaxMetadataKeys)
	events := []persistence.Event{{Type: "values", Metadata: values}, {Type: "names", Metadata: metadataNames()}}
	for key, value := range values {
		events = append(events, persistence.Event{Type: "value", Metadata: persistence.Metadata{key: value}})
	}

	j.store("metadata-1", persistence.NoStream, events...)

	cameBack(j, "metadata-1", events)
}

// metadataValues are values of all kinds, which a store might confuse.
func metadataValues() persistence.Metadata {
	return persistence.Metadata{
		"empty": persistence.String(""), "text": persistence.String("text"), "digits": persistence.String("1"), "true as text": persistence.String("true"),
		"null as text": persistence.String("null"), "quotes": persistence.String(`"'` + "`" + `\`), "lines": persistence.String("a\nb\tc\rd\x01\x1f\x7f"),
		"unicode": persistence.String("🗿 e\u0301 \u00e9 \u2028\u2029 \ufeff \ufffd"), "markup": persistence.String("<a href='&amp;'>"),
		"escapes": persistence.String(`\u0041 \n %s $1 {}`), "spaces": persistence.String("  a  "), "long": persistence.String(strings.Repeat("ü", 5000)),
		"zero": persistence.Int(0), "one": persistence.Int(1), "minus one": persistence.Int(-1),
		"beyond float": persistence.Int(1<<53 + 1), "least": persistence.Int(math.MinInt64), "greatest": persistence.Int(math.MaxInt64),
		"whole": persistence.Float(1), "minus whole": persistence.Float(-3), "zero float": persistence.Float(0), "minus zero": persistence.Float(negativeZero),
		"tenth": persistence.Float(0.1), "third": persistence.Float(1.0 / 3), "tiny": persistence.Float(math.SmallestNonzeroFloat64),
		"small": persistence.Float(1e-7), "minus tiny": persistence.Float(-math.SmallestNonzeroFloat64), "normal": persistence.Float(0x1p-1022),
		"huge": persistence.Float(math.MaxFloat64), "minus huge": persistence.Float(-math.MaxFloat64), "2^53": persistence.Float(1 << 53),
		"2^63": persistence.Float(1 << 63), "1e21": persistence.Float(1e21), "1e300": persistence.Float(1e300), "pi": persistence.Float(math.Pi),
		"yes": persistence.Bool(true), "no": persistence.Bool(false),
	}
}

// metadataNames are keys that a store might read as syntax.
func metadataNames() persistence.Metadata {
	names := persistence.Metadata{}
	for i, name := range []string{
		"k.l", "$.k", "x'y", `k"`, " ", "a b", `\`, `\u0041`, "k", "K", "k ", "🗿", "e\u0301", "\u00e9", "$", "%", "{a}", "a[0]", "a->>b", "__proto__",
		"a\nb", "\x7f", "<k>", "null", "true", "1", "-", "a:b", "a,b", strings.Repeat("k", persistence.MaxMetadataKey), strings.Repeat("é", persistence.MaxMetadataKey/2),
	} {
		names[name] = persistence.Int(int64(i))
	}
	return names
}

func roundTripTime(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("time-1", 3)

	for _, recorded := range append(j.events("time-1"), j.all()...) {
		require.Equal(t, time.UTC, recorded.At.Location())
		require.False(t, recorded.At.IsZero())
		require.Equal(t, recorded.At.Truncate(time.Microsecond), recorded.At)
	}
}
