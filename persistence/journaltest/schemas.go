package journaltest

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// describing are the cases of [persistence.Schemas].
var describing = cases{
	"a schema is known by its content":                              schemaContent,
	"schemas are listed by id":                                      schemaListed,
	"a schema that breaks a limit is refused":                       schemaLimits,
	"many callers that register one schema get one id":              schemaOnce,
	"events are counted by category, type and schema":               schemaUses,
	"schemas that a journal takes and returns belong to the caller": schemaOwned,
}

func registerSchema(j journal, encoding persistence.Encoding, body []byte) persistence.SchemaID {
	j.t.Helper()
	id, err := ability[persistence.Schemas](j.Journal).RegisterSchema(j.ctx, encoding, body)
	require.NoError(j.t, err)
	require.Positive(j.t, id)
	return id
}

func schemasOf(j journal) []persistence.Schema {
	j.t.Helper()
	schemas, err := ability[persistence.Schemas](j.Journal).Schemas(j.ctx)
	require.NoError(j.t, err)
	return schemas
}

func schemaContent(t *testing.T, s suite) {
	j := s.open(t)
	ids := map[persistence.SchemaID]bool{}
	bodies := [][]byte{[]byte("a"), []byte("A"), []byte("a "), {0}, {0, 0}, []byte("\xff"), []byte(`{"type":"object"}`), bytes.Repeat([]byte("long"), 10_000)}
	for round := range 2 {
		for _, body := range bodies {
			for _, encoding := range []persistence.Encoding{persistence.Protobuf, persistence.JSON} {
				id := registerSchema(j, encoding, body)
				require.Equal(t, round > 0, ids[id], "the same content is the same schema, other content or another encoding is another")
				ids[id] = true
			}
		}
	}
	require.Len(t, ids, 2*len(bodies))
	require.True(t, samePlace(nil, j.head()), "registering a schema takes no position")
}

func schemaListed(t *testing.T, s suite) {
	j := s.open(t)
	require.Empty(t, schemasOf(j))
	want := map[persistence.SchemaID]persistence.Schema{}
	for i := range 20 {
		body := fmt.Appendf(nil, "schema %d", (i*7)%20)
		encoding := persistence.Protobuf + persistence.Encoding(i%2)
		id := registerSchema(j, encoding, body)
		want[id] = persistence.Schema{ID: id, Encoding: encoding, Body: body}
	}

	got := schemasOf(j)

	require.Len(t, got, len(want))
	for i, schema := range got {
		require.Equal(t, want[schema.ID], schema)
		require.True(t, i == 0 || got[i-1].ID < schema.ID, "by id")
	}
	event := note("n")
	event.Schema = got[3].ID
	j.store("described-1", persistence.NoStream, event)
	require.Equal(t, got[3].ID, j.events("described-1")[0].Schema)
}

func schemaLimits(t *testing.T, s suite) {
	j := s.open(t)
	schemas := ability[persistence.Schemas](j.Journal)
	for what, broken := range map[string]persistence.Schema{
		"empty":       {Encoding: persistence.JSON},
		"too large":   {Encoding: persistence.Protobuf, Body: make([]byte, persistence.MaxSchema+1)},
		"raw":         {Encoding: persistence.Raw, Body: []byte("a")},
		"no encoding": {Encoding: persistence.JSON + 1, Body: []byte("a")},
	} {
		id, err := schemas.RegisterSchema(j.ctx, broken.Encoding, broken.Body)
		require.ErrorIs(t, err, persistence.ErrInvalid, what)
		require.Zero(t, id)
	}
	require.Empty(t, schemasOf(j))

	registerSchema(j, persistence.Protobuf, make([]byte, persistence.MaxSchema))
	require.Len(t, schemasOf(j)[0].Body, persistence.MaxSchema)
}

func schemaOnce(t *testing.T, s suite) {
	j := s.open(t)
	const rounds, many = 5, 6
	for round := range rounds {
		ids := make([]persistence.SchemaID, many)
		var group errgroup.Group
		for i := range many {
			group.Go(func() (err error) {
				ids[i], err = ability[persistence.Schemas](j.Journal).RegisterSchema(j.ctx, persistence.JSON, fmt.Appendf(nil, "schema %d", round))
				return err
			})
		}
		require.NoError(t, group.Wait())
		for _, id := range ids {
			require.Equal(t, ids[0], id)
		}
	}
	require.Len(t, schemasOf(j), rounds)
}

func schemaUses(t *testing.T, s suite) {
	j := s.open(t)
	counted := func() []persistence.Use {
		uses, err := ability[persistence.Schemas](j.Journal).Uses(j.ctx)
		require.NoError(t, err)
		return uses
	}
	require.Empty(t, counted())
	one, two := registerSchema(j, persistence.JSON, []byte("one")), registerSchema(j, persistence.JSON, []byte("two"))
	event := func(eventType string, schema persistence.SchemaID) persistence.Event {
		return persistence.Event{Type: eventType, Schema: schema}
	}
	j.store("user-1", persistence.NoStream, event("made", 0), event("made", one), event("made", one), event("named", one))
	j.store("user-2", persistence.NoStream, event("made", two), event("it's", one), event("NULL", 0))
	j.store("alone", persistence.NoStream, event("made", one))
	j.store("$sys-1", persistence.NoStream, event("made", one), event("$own", one))
	j.store("gone-1", persistence.NoStream, event("made", one))
	j.delete("gone-1")
	want := []persistence.Use{
		{Type: "made", Schema: one, Events: 1},
		{Category: "$sys", Type: "made", Schema: one, Events: 1},
		{Category: "gone", Type: "made", Schema: one, Events: 1},
		{Category: "user", Type: "NULL", Events: 1},
		{Category: "user", Type: "it's", Schema: one, Events: 1},
		{Category: "user", Type: "made", Events: 1},
		{Category: "user", Type: "made", Schema: one, Events: 2},
		{Category: "user", Type: "made", Schema: two, Events: 1},
		{Category: "user", Type: "named", Schema: one, Events: 1},
	}

	require.Equal(t, want, counted())

	if scavenger, ok := persistence.As[persistence.Scavenger](j.Journal); ok {
		_, err := scavenger.Scavenge(j.ctx, "gone-1")
		require.NoError(t, err)
		require.Equal(t, slices.Delete(want, 2, 3), counted(), "scavenged events do not count as uses of a schema")
	}
}

func schemaOwned(t *testing.T, s suite) {
	j := s.open(t)
	given := []byte("schema")
	id := registerSchema(j, persistence.JSON, given)

	given[0] = '!'
	schemasOf(j)[0].Body[1] = '!'

	require.Equal(t, []persistence.Schema{{ID: id, Encoding: persistence.JSON, Body: []byte("schema")}}, schemasOf(j))
	require.NotEqual(t, id, registerSchema(j, persistence.JSON, given), "changed content is another schema")
}
