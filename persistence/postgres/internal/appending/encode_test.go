package appending

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// proving is the configuration of the requests.
var proving = &Config{
	Journal: persistence.JournalID(persistence.NewEventID()),
	Statements: Statements{
		AppendSingle: statement("single", 13), AppendLean: statement("lean", 22), AppendExact: statement("exact", 15), AppendChecked: statement("checked", 15),
		Attempt: statement("attempt", 3), Search: statement("search", 3), StreamByName: statement("head", 4), Flush: statement("flush", 0),
	},
}

func statement(name string, parameters int) wire.Statement {
	return wire.Statement{Name: name, Parameters: parameters}
}

// The driver reads back what is encoded by hand.
func TestRequestsAreWhatTheDriverReads(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		works := rapid.SliceOfN(rapid.Custom(drawWork), 1, 5).Draw(r, "works")
		var requests wire.Requests
		f := &flight{
			calls:  []call{{opSingle, works[:1]}, {opLean, works}, {opExact, works}, {opChecked, works[:1]}, {opAttempt, works[:1]}, {opSearch, works[:1]}, {opHead, works[:1]}},
			before: proof{stream: 3, version: 4, id: persistence.NewEventID()}, flush: rapid.Bool().Draw(r, "flush"), early: rapid.Bool().Draw(r, "early"),
		}
		newest := proof{position: 5, id: persistence.NewEventID()}

		f.encode(&requests, proving, newest)

		d := &driver{r, pgproto3.NewBackend(bytes.NewReader(requests.Bytes()), nil), pgtype.NewMap()}
		d.single(works[0])
		d.lean(f, works, newest)
		d.exact(f, works)
		d.checked(f, works[0])
		w := works[0]
		version, _ := w.item.Expected.Version()
		require.Equal(r, []any{w.stream.ID, int64(version), int64(version) + int64(len(w.item.Events))}, d.int8s(d.bind(proving.Statements.Attempt)))
		search := d.bind(proving.Statements.Search)
		require.Equal(r, []any{w.stream.ID, w.below}, d.int8s([][]byte{search[0], search[2]}))
		require.Equal(r, w.item.Events[0].ID[:], search[1])
		require.Equal(r, string(w.item.Stream), string(d.bind(proving.Statements.StreamByName)[0]))
		require.IsType(r, &pgproto3.Sync{}, d.receive())
		if f.flush {
			d.bind(proving.Statements.Flush)
			require.IsType(r, &pgproto3.Sync{}, d.receive())
		}
		_, err := d.backend.Receive()
		require.Error(r, err, "nothing follows")
	})
}

func drawWork(r *rapid.T) *work {
	item := &appender.Item{Named: rapid.Bool().Draw(r, "named")}
	item.Stream = persistence.StreamID(rapid.StringN(1, 20, -1).Draw(r, "stream"))
	item.Expected = persistence.Expected(rapid.Int64Range(0, 1<<40).Draw(r, "expected"))
	item.Events = rapid.SliceOfN(rapid.Custom(func(r *rapid.T) persistence.Event {
		e := persistence.Event{
			ID: persistence.NewEventID(), Type: rapid.StringN(1, 20, -1).Draw(r, "type"), Schema: persistence.SchemaID(rapid.Int32Min(0).Draw(r, "schema")),
			Payload: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "payload"), Headers: rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(r, "headers"),
		}
		if rapid.Bool().Draw(r, "with metadata") {
			e.Metadata = persistence.Metadata{rapid.StringN(1, 5, -1).Draw(r, "key"): persistence.String(rapid.String().Draw(r, "value"))}
		}
		if rapid.Bool().Draw(r, "with tags") {
			e.Tags = rapid.SliceOfNDistinct(rapid.StringMatching(`[^\pC]+`), 1, 3, rapid.ID).Draw(r, "tags")
		}
		return e
	}), 1, 4).Draw(r, "events")
	return &work{
		item: item, stream: &streamids.Stream{ID: rapid.Int64().Draw(r, "id"), Name: item.Stream}, below: rapid.Int64().Draw(r, "below"),
		proven: rapid.Bool().Draw(r, "proven"),
	}
}

// driver reads requests as a server does.
type driver struct {
	t       *rapid.T
	backend *pgproto3.Backend
	types   *pgtype.Map
}

func (d *driver) receive() pgproto3.FrontendMessage {
	message, err := d.backend.Receive()
	require.NoError(d.t, err)
	return message
}

// bind reads a Bind and its Execute and returns the parameters.
func (d *driver) bind(s wire.Statement) [][]byte {
	bound, ok := d.receive().(*pgproto3.Bind)
	require.True(d.t, ok)
	require.Equal(d.t, s.Name, bound.PreparedStatement)
	require.Equal(d.t, []int16{1}, bound.ParameterFormatCodes)
	require.Equal(d.t, []int16{1}, bound.ResultFormatCodes)
	require.Len(d.t, bound.Parameters, s.Parameters)
	values := make([][]byte, s.Parameters)
	for i, value := range bound.Parameters {
		values[i] = bytes.Clone(value)
	}
	require.Equal(d.t, &pgproto3.Execute{}, d.receive())
	return values
}

func (d *driver) int8s(values [][]byte) (numbers []any) {
	for _, value := range values {
		numbers = append(numbers, decode[int64](d, pgtype.Int8OID, value))
	}
	return numbers
}

func decode[T any](d *driver, oid uint32, value []byte) (v T) {
	require.NoError(d.t, d.types.Scan(oid, pgtype.BinaryFormatCode, value, &v))
	return v
}

func (d *driver) single(w *work) {
	values := d.bind(proving.Statements.AppendSingle)
	e := w.item.Events[0]
	require.EqualValues(d.t, Partition, decode[int16](d, pgtype.Int2OID, values[0]))
	require.EqualValues(d.t, e.Schema, decode[int32](d, pgtype.Int4OID, values[1]))
	require.Equal(d.t, []any{w.stream.ID, int64(w.item.Expected) + 1}, d.int8s(values[2:4]))
	require.Equal(d.t, e.ID[:], values[4])
	require.Equal(d.t, e.Type, string(values[5]))
	require.Equal(d.t, string(e.Payload), string(values[6]))
	require.Equal(d.t, string(e.Headers), string(values[7]))
	require.Equal(d.t, len(e.Metadata) == 0, values[8] == nil)
	if values[8] != nil {
		require.Equal(d.t, string(persistence.AppendMetadata(nil, e.Metadata)), string(values[8]))
	}
	require.Equal(d.t, len(e.Tags) == 0, values[9] == nil)
	require.Equal(d.t, strings.Join(slices.Sorted(slices.Values(e.Tags)), "\n"), string(values[9]))
	d.proof([]*work{w}, values[10:])
}

func (d *driver) lean(f *flight, works []*work, newest proof) {
	values := d.bind(proving.Statements.AppendLean)
	require.EqualValues(d.t, Partition, decode[int16](d, pgtype.Int2OID, values[0]))
	require.Equal(d.t, f.early, decode[bool](d, pgtype.BoolOID, values[1]))
	require.Equal(d.t, []any{newest.position, f.before.stream, f.before.version}, d.int8s([][]byte{values[2], values[4], values[5]}))
	require.Equal(d.t, newest.id[:], values[3])
	require.Equal(d.t, f.before.id[:], values[6])
	var streams, versions, unproven, before []int64
	mixed, first := false, works[0].item.Events[0].Schema
	events := 0
	for _, w := range works {
		if !w.proven {
			unproven, before = append(unproven, w.stream.ID), append(before, int64(w.item.Expected))
		}
		for i := range w.item.Events {
			events++
			mixed = mixed || w.item.Events[i].Schema != first
			streams = append(streams, w.stream.ID)
			versions = append(versions, int64(w.item.Expected)+int64(i)+1)
		}
	}
	require.ElementsMatch(d.t, unproven, decode[[]int64](d, pgtype.Int8ArrayOID, values[7]))
	require.ElementsMatch(d.t, before, decode[[]int64](d, pgtype.Int8ArrayOID, values[8]))
	require.EqualValues(d.t, first, decode[int32](d, pgtype.Int4OID, values[9]))
	require.Equal(d.t, streams, decode[[]int64](d, pgtype.Int8ArrayOID, values[10]))
	require.Equal(d.t, versions, decode[[]int64](d, pgtype.Int8ArrayOID, values[11]))
	absent := func(element wire.Type) []byte { // a column that no event has stands for one of empty or NULL values
		return wire.Array(element, make([]struct{}, events), func(v *wire.Values, _ struct{}) {
			switch element {
			case wire.TypeBytea:
				v.Data(nil)
			case wire.TypeInt4:
				v.Int4(int32(first))
			default:
				v.Null()
			}
		})
	}
	id, kind, payload, headers, metadata, tags, schema := values[12], values[13], values[14], values[15], values[16], values[17], values[18]
	require.Equal(d.t, mixed, len(decode[[]int32](d, pgtype.Int4ArrayOID, schema)) > 0)
	for value, element := range map[*[]byte]wire.Type{&schema: wire.TypeInt4, &headers: wire.TypeBytea, &metadata: wire.TypeText, &tags: wire.TypeText} {
		if len(*value) == 12 {
			*value = absent(element)
		}
	}
	if wire.Type(binary.BigEndian.Uint32(metadata[8:])) == wire.TypeJSON { // which looks like text otherwise
		metadata = bytes.Clone(metadata)
		binary.BigEndian.PutUint32(metadata[8:], uint32(wire.TypeText))
	}
	d.events(works, [][]byte{id, schema, kind, payload, headers, metadata, tags})
	d.proof(works, values[19:])
}

// proof is what a statement rests on: the journal, and the highest of its streams.
func (d *driver) proof(works []*work, values [][]byte) {
	last := works[0].stream
	for _, w := range works {
		if w.stream.ID > last.ID {
			last = w.stream
		}
	}
	require.Equal(d.t, proving.Journal[:], values[0])
	require.Equal(d.t, last.ID, decode[int64](d, pgtype.Int8OID, values[1]))
	require.Equal(d.t, string(last.Name), string(values[2]))
}

func (d *driver) exact(f *flight, works []*work) {
	values := d.bind(proving.Statements.AppendExact)
	require.EqualValues(d.t, Partition, decode[int16](d, pgtype.Int2OID, values[0]))
	require.Equal(d.t, f.early, decode[bool](d, pgtype.BoolOID, values[1]))
	var streams, expected, versions []int64
	for _, w := range works {
		for i := range w.item.Events {
			streams = append(streams, w.stream.ID)
			expected = append(expected, int64(w.item.Expected))
			versions = append(versions, int64(w.item.Expected)+int64(i)+1)
		}
	}
	require.Equal(d.t, streams, decode[[]int64](d, pgtype.Int8ArrayOID, values[2]))
	require.Equal(d.t, expected, decode[[]int64](d, pgtype.Int8ArrayOID, values[3]))
	require.Equal(d.t, versions, decode[[]int64](d, pgtype.Int8ArrayOID, values[4]))
	d.events(works, values[5:12])
	d.proof(works, values[12:])
}

func (d *driver) checked(f *flight, w *work) {
	values := d.bind(proving.Statements.AppendChecked)
	require.EqualValues(d.t, Partition, decode[int16](d, pgtype.Int2OID, values[0]))
	require.Equal(d.t, f.early, decode[bool](d, pgtype.BoolOID, values[1]))
	require.Equal(d.t, []any{w.stream.ID, int64(w.item.Expected)}, d.int8s(values[2:4]))
	require.Equal(d.t, w.item.Named, decode[bool](d, pgtype.BoolOID, values[4]))
	d.events([]*work{w}, values[5:12])
	d.proof([]*work{w}, values[12:])
}

func (d *driver) events(works []*work, values [][]byte) {
	var events []persistence.Event
	for _, w := range works {
		events = append(events, w.item.Events...)
	}
	ids := decode[[][16]byte](d, pgtype.UUIDArrayOID, values[0])
	schemas := decode[[]int32](d, pgtype.Int4ArrayOID, values[1])
	types := decode[[]string](d, pgtype.TextArrayOID, values[2])
	payloads := decode[[][]byte](d, pgtype.ByteaArrayOID, values[3])
	headers := decode[[][]byte](d, pgtype.ByteaArrayOID, values[4])
	metadata := decode[[]*string](d, pgtype.TextArrayOID, values[5])
	tags := decode[[]*string](d, pgtype.TextArrayOID, values[6])
	for _, n := range []int{len(ids), len(schemas), len(types), len(payloads), len(headers), len(metadata), len(tags)} {
		require.Equal(d.t, len(events), n)
	}
	for i := range events {
		e := &events[i]
		require.Equal(d.t, e.ID, persistence.EventID(ids[i]))
		require.EqualValues(d.t, e.Schema, schemas[i])
		require.Equal(d.t, e.Type, types[i])
		require.Equal(d.t, string(e.Payload), string(payloads[i]))
		require.Equal(d.t, string(e.Headers), string(headers[i]))
		require.NotNil(d.t, payloads[i], "empty is not NULL")
		require.NotNil(d.t, headers[i])
		if encoded := persistence.EncodeMetadata(e.Metadata); encoded == nil {
			require.Nil(d.t, metadata[i])
		} else {
			require.Equal(d.t, string(encoded), *metadata[i])
		}
		if len(e.Tags) == 0 {
			require.Nil(d.t, tags[i])
		} else {
			require.Equal(d.t, slices.Sorted(slices.Values(e.Tags)), strings.Split(*tags[i], "\n"))
		}
	}
}

// FuzzReadExact decodes answers of the append function that may say anything.
func FuzzReadExact(f *testing.F) {
	f.Add([]byte{2, 1, 3}, int64(7), int32(6), []byte{})
	f.Add([]byte{2, 1, 3}, int64(7), int32(3), []byte{1, 2, 3})
	f.Add([]byte{2, 1, 3}, int64(7), int32(2), []byte{3, 6, 5, 4})
	f.Add([]byte{2, 1, 3}, int64(7), int32(4), []byte{4, 5})
	f.Add([]byte{2, 1}, int64(7), int32(1), []byte{1, 1})
	f.Fuzz(func(t *testing.T, sizes []byte, base int64, inserted int32, ordinals []byte) {
		var works []*work
		var events int
		for _, size := range sizes {
			n := int(size%7) + 1
			works = append(works, &work{item: &appender.Item{Append: persistence.Append{Events: make([]persistence.Event, n)}}})
			events += n
		}
		refused := make([]int32, len(ordinals))
		for i, ordinal := range ordinals {
			refused[i] = int32(int8(ordinal))
		}
		encoded, err := pgtype.NewMap().Encode(pgtype.Int4ArrayOID, pgtype.BinaryFormatCode, refused, nil)
		require.NoError(t, err)
		got, flags, ok := readExact(works, [][][]byte{{wire.Int8(base), wire.Int4(inserted), encoded}})

		if !ok {
			return
		}
		require.Equal(t, base, got)
		stored, ordinal := 0, int32(0)
		for i, w := range works {
			for range w.item.Events {
				ordinal++
				require.Equal(t, flags[i], bytes.IndexByte(ordinals, byte(ordinal)) >= 0, "an append is refused as a whole")
			}
			if !flags[i] {
				stored += len(w.item.Events)
			}
		}
		require.Equal(t, int(inserted), stored)
	})
}
