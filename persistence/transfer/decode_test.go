package transfer

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

const (
	headerLine = `{"header":{"stele":1,"journal":"0198f0a0-0000-7000-8000-000000000001","after":[]}}`
	eventLine  = `{"event":{"position":1,"stream":"s-1","version":1,"id":"0198f0a0-0000-7000-8000-000000000002","time":"2026-01-02T03:04:05.000006Z","type":"t"}}`
	cloudLine  = `{"specversion":"1.0","id":"0198f0a0-0000-7000-8000-000000000002","source":"/streams/s-1","type":"t","subject":"s-1","time":"2026-01-02T03:04:05.000006Z","sequence":"0000000000000000001","streamversion":"1"}`
	streamLine = `{"stream":{"stream":"s-1","version":1,"first":1,"begin":1,"revision":1,"metadata":{"k":1}}}`
	schemaText = `{"schema":{"number":1,"encoding":"json","body":"e30="}}`
)

// changed is a line in which something is another.
func changed(line, before, after string) string {
	if !strings.Contains(line, before) {
		panic("no " + before)
	}
	return strings.Replace(line, before, after, 1)
}

// Each line is wrong in one field, is told by its number and that field, and
// nothing of it is stored.
func TestLinesThatAreWrong(t *testing.T) {
	t.Parallel()
	with := func(field string) string { return changed(eventLine, `"type"`, field+`,"type"`) }
	cases := map[string]struct{ line, field string }{
		"no JSON":                       {"hello", "line"},
		"an empty line":                 {"", "line"},
		"a list":                        {"[]", "line"},
		"an empty object":               {"{}", "line"},
		"no object inside":              {`{"event":7}`, "event"},
		"an unknown kind":               {`{"evnt":{}}`, "line"},
		"two kinds":                     {`{"event":{},"stream":{}}`, ""},
		"more behind":                   {eventLine + eventLine, "line"},
		"an unknown field":              {with(`"extra":1`), "line"},
		"a field twice":                 {with(`"version":1`), "event"},
		"invalid UTF-8":                 {changed(eventLine, "s-1", "s-\xff"), "line"},
		"half a surrogate":              {changed(eventLine, `"t"`, `"\ud800"`), "type"},
		"no position":                   {changed(eventLine, `"position":1,`, ""), "position"},
		"a position that is no integer": {changed(eventLine, `"position":1`, `"position":1.0`), "position"},
		"a negative version":            {changed(eventLine, `"version":1`, `"version":-1`), "version"},
		"version 0":                     {changed(eventLine, `"version":1`, `"version":0`), "version"},
		"a version out of range":        {changed(eventLine, `"version":1`, `"version":9223372036854775808`), "version"},
		"a number with an exponent":     {changed(eventLine, `"version":1`, `"version":1e0`), "version"},
		"no id":                         {changed(eventLine, `"id":"0198f0a0-0000-7000-8000-000000000002",`, ""), "id"},
		"another id":                    {changed(eventLine, "0198f0a0-0000", "0198f0a00000"), "id"},
		"no time":                       {changed(eventLine, `"time":"2026-01-02T03:04:05.000006Z",`, ""), "time"},
		"a time with a zone":            {changed(eventLine, "000006Z", "000006+01:00"), "time"},
		"no stream":                     {changed(eventLine, `"stream":"s-1",`, ""), "stream"},
		"a control character":           {changed(eventLine, `"s-1"`, `"s\u0007"`), "stream"},
		"no type":                       {changed(eventLine, `,"type":"t"`, ""), "type"},
		"a tombstone with a payload":    {changed(eventLine, `"t"`, `"$deleted","payload":"AA=="`), "type"},
		"payload and data":              {with(`"payload":"AA==","data":1`), "data"},
		"payload without padding":       {with(`"payload":"AA"`), "payload"},
		"a payload that is too large":   {with(`"data":"` + strings.Repeat("x", persistence.MaxPayload) + `"`), "payload"},
		"nested metadata":               {with(`"metadata":{"k":{}}`), "metadata"},
		"null in metadata":              {with(`"metadata":{"k":null}`), "metadata"},
		"metadata twice":                {with(`"metadata":{"k":1,"k":1}`), "metadata"},
		"a tag twice":                   {with(`"tags":["a","a"]`), "tag"},
		"a tag that is no text":         {with(`"tags":[1]`), "tags"},
		"a flag that is no truth":       {with(`"named":1`), "named"},
		"an unknown schema":             {with(`"schema":9`), "schema"},
		"half of one event":             {with(`"sub":2,"subs":2`), "sub"},
		"a position again":              {changed(eventLine, `"version":1`, `"version":2`), "position"},
		"a schema without a number":     {changed(schemaText, `"number":1,`, ""), "number"},
		"a schema of another encoding":  {changed(schemaText, `"json"`, `"xml"`), "encoding"},
		"a schema without a body":       {changed(schemaText, `,"body":"e30="`, ""), "schema"},
		"a stream that cannot be so":    {changed(streamLine, `"first":1`, `"first":3`), "first"},
		"a stream with a text":          {changed(streamLine, `"revision":1`, `"revision":"1"`), "revision"},
		"an end that does not fit":      {`{"end":{"events":1,"streams":0,"schemas":0,"next":[1],"sha256":"00"}}`, "end"},
		"a header in between":           {headerLine, "after"},
		"another form":                  {changed(headerLine, `"stele":1`, `"stele":2`), "stele"},
		"an old version of CloudEvents": {changed(cloudLine, `"1.0"`, `"0.3"`), "specversion"},
		"another source":                {changed(cloudLine, "/streams/s-1", "/streams/s-2"), "source"},
		"no stream version":             {changed(cloudLine, `,"streamversion":"1"`, ""), "streamversion"},
		"an unknown attribute":          {changed(cloudLine, `"id"`, `"extra":"x","id"`), "line"},
		"an unknown line of a journal":  {`{"specversion":"1.0","id":"x","source":"/journals/x","type":"$what","data":{}}`, "line"},
		"metadata that is no JSON":      {changed(cloudLine, `"id"`, `"stelemetadata":"{","id"`), "stelemetadata"},
		"tags that are no list":         {changed(cloudLine, `"id"`, `"steletags":"{}","id"`), "steletags"},
	}
	for what, c := range cases {
		journal := new(memory.Journal)
		first := changed(changed(eventLine, "s-1", "before-1"), "000000000002", "000000000003")

		_, err := Import(t.Context(), strings.NewReader(headerLine+"\n"+first+"\n"+c.line+"\n"), journal, ImportOptions{})

		placed, ok := errors.AsType[*LineError](err)
		require.True(t, ok, "%s: %v", what, err)
		require.EqualValues(t, 3, placed.Line, what)
		wrong, ok := errors.AsType[*persistence.InvalidError](err)
		require.True(t, ok, "%s: %v", what, err)
		if c.field != "" {
			require.Equal(t, c.field, wrong.Field, "%s: %v", what, err)
		}
		_, err = journal.Stream(t.Context(), "s-1")
		require.ErrorIs(t, err, persistence.ErrStreamNotFound, what)
		require.NotContains(t, wrong.Error(), "s-1", "%s: an error holds no data", what)
	}
}

func TestLinesAreBounded(t *testing.T) {
	t.Parallel()
	long := headerLine + "\n" + strings.Repeat(" ", MaxLine) + "x\n"

	_, err := Import(t.Context(), strings.NewReader(long), new(memory.Journal), ImportOptions{})

	placed, ok := errors.AsType[*LineError](err)
	require.True(t, ok)
	require.EqualValues(t, 2, placed.Line)
	require.ErrorContains(t, err, "line is too long")
}

func TestLongTheLongestLineIsRead(t *testing.T) {
	t.Parallel()
	from, to := new(memory.Journal), new(memory.Journal)
	metadata := persistence.Metadata{}
	metadata["k"] = persistence.String(strings.Repeat("\x01", persistence.MaxMetadataBytes-9))
	event := persistence.Event{
		Type: "t", Payload: bytes.Repeat([]byte{0xff}, persistence.MaxPayload), Headers: bytes.Repeat([]byte{0xff}, persistence.MaxHeaders), Metadata: metadata,
	}
	for i := range persistence.MaxTags {
		event.Tags = append(event.Tags, strings.Repeat(`"`, persistence.MaxTag-2)+fmt.Sprintf("%02d", i))
	}
	_, err := from.Append(t.Context(), persistence.Append{Stream: "s-1", Events: []persistence.Event{event}})
	require.NoError(t, err)

	for _, format := range []Format{NDJSON, CloudEvents} {
		var file bytes.Buffer
		_, err = Export(t.Context(), from, &file, ExportOptions{Format: format})
		require.NoError(t, err)
		_, err = Import(t.Context(), &file, to, ImportOptions{})
		require.NoError(t, err)
	}
	report, err := Verify(t.Context(), from, to, Choice{})
	require.NoError(t, err)
	require.True(t, report.Equal)
}

// Whatever is read as a line is read again from what is written of it.
func FuzzDecode(f *testing.F) {
	for _, line := range []string{headerLine, eventLine, cloudLine, streamLine, schemaText, `{"end":{"events":1,"streams":0,"schemas":0,"next":[1],"sha256":"00"}}`} {
		f.Add([]byte(line))
	}
	f.Add([]byte(changed(eventLine, `"t"`, `"t","tags":["a"],"metadata":{"k":1.5},"headers":"AA==","data":{"a":[1, 2]},"sub":1,"subs":2`)))
	f.Fuzz(func(t *testing.T, line []byte) {
		first, err := decode(line)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			return
		}
		for _, format := range []Format{NDJSON, CloudEvents} {
			var written []byte
			switch {
			case first.event != nil:
				written = format.writeEvent(nil, first.event, int64(first.event.Schema), persistence.JSON)
			case first.header != nil:
				written = format.write(nil, "header", persistence.JournalID{}, first.header.write)
			case first.schema != nil:
				written = format.write(nil, "schema", persistence.JournalID{}, first.schema.write)
			case first.end != nil:
				written = format.write(nil, "end", persistence.JournalID{}, first.end.write)
			default:
				written = format.write(nil, "stream", persistence.JournalID{}, func(out []byte) []byte { return writeStream(out, first.stream) })
			}
			require.Equal(t, 1, bytes.Count(written, []byte("\n")))

			second, err := decode(written[:len(written)-1])

			require.NoError(t, err, "%s", written)
			if first.event != nil {
				require.Equal(t, format.writeEvent(nil, first.event, int64(first.event.Schema), persistence.JSON), format.writeEvent(nil, second.event, int64(second.event.Schema), persistence.JSON))
				require.True(t, first.event.SameStored(second.event))
				require.Equal(t, first.event.Headers, second.event.Headers)
			}
		}
	})
}
