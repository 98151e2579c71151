package schema_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// counting counts how often the schemas are read.
type counting struct {
	*memory.Journal
	reads atomic.Int64
}

func (c *counting) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	c.reads.Add(1)
	return c.Journal.Schemas(ctx)
}

func encoded(t *testing.T, message proto.Message) []byte {
	t.Helper()
	payload, err := proto.Marshal(message)
	require.NoError(t, err)
	return payload
}

func TestDecode(t *testing.T) {
	t.Parallel()
	journal := &counting{Journal: new(memory.Journal)}
	ids, err := schema.Register(t.Context(), journal, typeOf[*stelev1.Headers](t), typeOf[Painted](t), typeOf[*anypb.Any](t))
	require.NoError(t, err)
	damaged, err := journal.RegisterSchema(t.Context(), persistence.Protobuf, []byte("not a set"))
	require.NoError(t, err)
	headers := encoded(t, &stelev1.Headers{Command: "bank.open", CommandId: []byte{1, 2, 3}})
	decoder := schema.NewDecoder(journal)
	for name, c := range map[string]struct {
		event  persistence.Event
		json   string
		kind   persistence.ErrorKind
		reason string
	}{
		"protobuf":                        {event: persistence.Event{Type: "stele.v1.Headers", Schema: ids[0], Payload: headers}, json: `{"commandId":"AQID","command":"bank.open"}`},
		"protobuf without content":        {event: persistence.Event{Type: "stele.v1.Headers", Schema: ids[0]}, json: `{}`},
		"JSON":                            {event: persistence.Event{Type: "paint.painted", Schema: ids[1], Payload: []byte(`{"Small": 7}`)}, json: `{"Small": 7}`},
		"JSON of no struct":               {event: persistence.Event{Type: "own", Schema: ids[1], Payload: []byte(`"own"`)}, json: `"own"`},
		"protobuf without a schema":       {event: persistence.Event{Type: "stele.v1.Headers", Payload: headers}, json: `{"commandId":"AQID","command":"bank.open"}`},
		"JSON without a schema":           {event: persistence.Event{Type: "x", Payload: []byte(` {"a":[1]}`)}, json: ` {"a":[1]}`},
		"an event of the system":          {event: persistence.Event{Type: persistence.TypeDeleted}},
		"neither, without a schema":       {event: persistence.Event{Type: "x", Payload: []byte("12")}, kind: persistence.ErrNotFound, reason: "none describes its type"},
		"nothing, without a schema":       {event: persistence.Event{Type: "x"}, kind: persistence.ErrNotFound, reason: "none describes its type"},
		"broken JSON":                     {event: persistence.Event{Type: "paint.painted", Schema: ids[1], Payload: []byte(`{"Small": `)}, kind: persistence.ErrCorrupt, reason: "not JSON"},
		"broken JSON, without a schema":   {event: persistence.Event{Type: "paint.painted", Payload: []byte(`{"Small": `)}, kind: persistence.ErrNotFound, reason: "none describes"},
		"broken protobuf":                 {event: persistence.Event{Type: "stele.v1.Headers", Schema: ids[0], Payload: []byte("\xff")}, kind: persistence.ErrCorrupt, reason: "not what its schema describes"},
		"a type that is not in it":        {event: persistence.Event{Type: "stele.v1.Tail", Schema: ids[0], Payload: headers}, kind: persistence.ErrNotFound, reason: "does not describe this type"},
		"a schema that is not there":      {event: persistence.Event{Type: "stele.v1.Headers", Schema: 99, Payload: headers}, kind: persistence.ErrNotFound, reason: "does not hold the schema"},
		"a schema that is damaged":        {event: persistence.Event{Type: "stele.v1.Headers", Schema: damaged, Payload: headers}, kind: persistence.ErrCorrupt, reason: "schema is damaged"},
		"a message that is not described": {event: persistence.Event{Type: "google.protobuf.Any", Schema: ids[2], Payload: encoded(t, &anypb.Any{TypeUrl: "x/some.Type", Value: []byte{8, 1}})}, kind: persistence.ErrNotFound, reason: "holds a message"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decoder.Decode(t.Context(), &c.event)

			if c.reason == "" && c.event.Type == persistence.TypeDeleted {
				require.NoError(t, err)
				require.Equal(t, schema.Decoded{}, got)
				return
			}
			if c.reason == "" {
				require.NoError(t, err)
				require.Equal(t, c.json, string(got.JSON))
				return
			}
			require.ErrorIs(t, err, c.kind)
			require.ErrorContains(t, err, c.reason)
			undecodable, ok := err.(*schema.UndecodableError) //nolint:errorlint // it is not wrapped
			require.True(t, ok)
			require.Equal(t, c.event.Type, undecodable.Type)
			require.Equal(t, c.event.Schema, undecodable.Schema)
			require.Equal(t, schema.Decoded{}, got)
		})
	}
	require.LessOrEqual(t, journal.reads.Load(), int64(2), "once at first, and once for what was missing")
}

// A schema that comes later is found, and what is missing is asked for once.
func TestDecodeLater(t *testing.T) {
	t.Parallel()
	journal := &counting{Journal: new(memory.Journal)}
	decoder := schema.NewDecoder(journal)
	missing := persistence.Event{Type: "x", Schema: 99}
	for range 3 {
		_, err := decoder.Decode(t.Context(), &missing)
		require.ErrorIs(t, err, persistence.ErrNotFound)
	}
	require.EqualValues(t, 1, journal.reads.Load())

	ids, err := schema.Register(t.Context(), journal, typeOf[*timestamppb.Timestamp](t))
	require.NoError(t, err)
	moment := persistence.Event{Type: "google.protobuf.Timestamp", Schema: ids[0], Payload: encoded(t, timestamppb.New(time.Unix(0, 0)))}
	var group errgroup.Group
	for range 8 {
		group.Go(func() error {
			for range 100 {
				decoded, err := decoder.Decode(t.Context(), &moment)
				if err != nil || string(decoded.JSON) != `"1970-01-01T00:00:00Z"` {
					return fmt.Errorf("%s: %w", decoded.JSON, err)
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	_, err = decoder.Decode(t.Context(), &missing)
	require.ErrorIs(t, err, persistence.ErrNotFound)
	require.EqualValues(t, 2, journal.reads.Load())
}

func TestDecodeWithout(t *testing.T) {
	t.Parallel()
	event := persistence.Event{Type: "x", Payload: []byte(`{}`)}
	decoder := schema.NewDecoder(plain{new(memory.Journal)})

	decoded, err := decoder.Decode(t.Context(), &event)
	require.NoError(t, err)
	require.Equal(t, persistence.JSON, decoded.Encoding)
	event.Schema = 3
	_, err = decoder.Decode(t.Context(), &event)
	require.ErrorContains(t, err, "keeps no schemas")
	_, err = decoder.Decode(t.Context(), &persistence.Event{Type: "x"})
	require.ErrorContains(t, err, "keeps no schemas")

	_, err = schema.NewDecoder(failing{new(memory.Journal)}).Decode(t.Context(), &event)
	require.ErrorIs(t, err, errDown)
	require.NotErrorIs(t, err, persistence.ErrNotFound)
}

func FuzzDecode(f *testing.F) {
	journal := new(memory.Journal)
	ids, err := schema.Register(f.Context(), journal, typeOf[*stelev1.Headers](f), typeOf[Painted](f))
	require.NoError(f, err)
	decoder := schema.NewDecoder(journal)
	f.Add(uint8(0), []byte("\x0a\x03abc"))
	f.Add(uint8(1), []byte(`{"Small":7}`))
	f.Add(uint8(2), []byte(`{}`))
	f.Fuzz(func(t *testing.T, which uint8, payload []byte) {
		event := persistence.Event{Type: "stele.v1.Headers", Payload: payload}
		if int(which) < len(ids) {
			event.Schema = ids[which]
		}
		decoded, err := decoder.Decode(t.Context(), &event)
		if err != nil {
			require.ErrorContains(t, err, "cannot be decoded")
			return
		}
		require.NotEmpty(t, decoded.JSON)
	})
}

// hanging is a journal whose schemas take long.
type hanging struct {
	*memory.Journal
	asked, answer chan struct{}
}

func (h *hanging) Schemas(ctx context.Context) ([]persistence.Schema, error) {
	close(h.asked)
	<-h.answer
	return h.Journal.Schemas(ctx)
}

func TestDecodeWaitsNoLongerThanItsCaller(t *testing.T) {
	t.Parallel()
	journal := &hanging{new(memory.Journal), make(chan struct{}), make(chan struct{})}
	decoder := schema.NewDecoder(journal)
	event := &persistence.Event{Type: "written", Schema: 7, Payload: []byte{1}}
	first := make(chan error, 1)
	go func() {
		_, err := decoder.Decode(t.Context(), event)
		first <- err
	}()
	<-journal.asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	second := make(chan error, 1)
	go func() {
		_, err := decoder.Decode(ctx, event)
		second <- err
	}()

	select {
	case err := <-second:
		require.ErrorIs(t, err, context.DeadlineExceeded)
	case <-time.After(5 * time.Second):
		t.Error("it waits for the other caller")
	}
	close(journal.answer)
	require.ErrorIs(t, <-first, persistence.ErrNotFound)
}
