package actors_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/trace"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// headersOf are the headers of the events of a list, read with the generated
// code: they are written by hand.
func headersOf(t *testing.T, journal persistence.Reader, id string) (all []*stelev1.Headers, recorded []persistence.Recorded) {
	t.Helper()
	for r, err := range journal.Read(t.Context(), persistence.StreamID("list-"+id), persistence.ReadOptions{}) {
		require.NoError(t, err)
		headers := new(stelev1.Headers)
		require.NoError(t, proto.Unmarshal(r.Headers, headers))
		require.Empty(t, headers.ProtoReflect().GetUnknown())
		all, recorded = append(all, headers), append(recorded, r)
	}
	return all, recorded
}

// Each event says which command it comes from, who asked and why.
func TestOrigin(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	var command persistence.CommandID
	system := open(t, actors.Config{Journal: journal, Aggregates: []actors.Definition{watched(func(tx *actors.Tx, _ Put) { command = tx.CommandID })}})
	causation, correlation := persistence.NewEventID(), persistence.CommandID{1, 2, 3}
	given := persistence.Metadata{"tenant": persistence.String("a"), "n": persistence.Int(7)}
	for name, c := range map[string]struct {
		ctx                    func(context.Context) context.Context
		causation, correlation []byte // nil is the command's own
		actor, traceparent     string
		metadata               persistence.Metadata
	}{
		"nothing":     {ctx: func(ctx context.Context) context.Context { return ctx }},
		"actor":       {ctx: func(ctx context.Context) context.Context { return actors.WithActor(ctx, "ann ☺") }, actor: "ann ☺"},
		"causation":   {ctx: func(ctx context.Context) context.Context { return actors.WithCausation(ctx, causation) }, causation: causation[:]},
		"correlation": {ctx: func(ctx context.Context) context.Context { return actors.WithCorrelation(ctx, correlation) }, correlation: correlation[:]},
		"span":        {ctx: spanned, traceparent: "00-01000000000000000000000000000000-0200000000000000-01"},
		"metadata":    {ctx: func(ctx context.Context) context.Context { return actors.WithMetadata(ctx, given) }, metadata: given},
		"all, in layers": {
			ctx: func(ctx context.Context) context.Context {
				ctx = actors.WithActor(actors.WithMetadata(ctx, given), "bob")
				ctx = actors.WithActor(actors.WithCausation(actors.WithCorrelation(ctx, correlation), causation), "ann")
				return actors.WithMetadata(ctx, persistence.Metadata{"n": persistence.Int(8)})
			},
			causation: causation[:], correlation: correlation[:], actor: "ann",
			metadata: persistence.Metadata{"tenant": persistence.String("a"), "n": persistence.Int(8)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := PutInto.Ask(c.ctx(t.Context()), system, name, Put{Tag: "x", Events: 3})
			require.NoError(t, err)

			all, recorded := headersOf(t, journal, name)
			require.Len(t, all, 3)
			if c.correlation == nil {
				c.correlation = command[:]
			}
			for i, headers := range all {
				require.Equal(t, command[:], headers.CommandId)
				require.Equal(t, "test.put", headers.Command)
				require.Equal(t, c.causation, headers.CausationId)
				require.Equal(t, c.correlation, headers.CorrelationId)
				require.Equal(t, c.actor, headers.Actor)
				require.Equal(t, c.traceparent, headers.Traceparent)
				require.Equal(t, c.metadata, recorded[i].Metadata)
			}
		})
	}
}

// What a caller does to its map afterwards changes nothing.
func TestMetadataIsCopied(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	metadata := persistence.Metadata{"a": persistence.Int(1)}
	ctx := actors.WithMetadata(t.Context(), metadata)
	metadata["a"] = persistence.Int(2)

	_, err := PutInto.Ask(ctx, system, "a", Put{Tag: "x"})
	require.NoError(t, err)

	_, recorded := headersOf(t, journal, "a")
	require.Equal(t, persistence.Metadata{"a": persistence.Int(1)}, recorded[0].Metadata)
}

// What the configuration takes from the caller's context stands beside what the
// caller says itself, and is held to the same rules.
func TestEnrich(t *testing.T) {
	t.Parallel()
	type tenantKey struct{}
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Enrich: func(ctx context.Context) persistence.Metadata {
		tenant, known := ctx.Value(tenantKey{}).(string)
		if !known {
			return persistence.Metadata{"stele.tenant": persistence.String("none")}
		}
		return persistence.Metadata{"tenant": persistence.String(tenant), "n": persistence.Int(1)}
	}})
	ctx := context.WithValue(t.Context(), tenantKey{}, "acme")

	_, err := PutInto.Ask(ctx, system, "a", Put{Tag: "x"})
	require.NoError(t, err)
	_, err = PutInto.Ask(actors.WithActor(actors.WithMetadata(ctx, persistence.Metadata{"n": persistence.Int(2)}), "ann"), system, "a", Put{Tag: "y"})
	require.NoError(t, err)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "z"})
	require.ErrorIs(t, err, persistence.ErrInvalid)

	headers, recorded := headersOf(t, journal, "a")
	require.Len(t, recorded, 2)
	require.Equal(t, persistence.Metadata{"tenant": persistence.String("acme"), "n": persistence.Int(1)}, recorded[0].Metadata)
	require.Equal(t, persistence.Metadata{"tenant": persistence.String("acme"), "n": persistence.Int(2)}, recorded[1].Metadata)
	require.Equal(t, "ann", headers[1].Actor)
}

// spanned is a context in which a span is active.
func spanned(ctx context.Context) context.Context {
	return trace.ContextWithSpanContext(ctx, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
}

// A chain of commands, each asked because of the event of the one before, is one
// call from outside in which each knows its cause.
func TestCausedBy(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal})
	byHand := persistence.EventID{7}
	outcomes, err := journal.Append(t.Context(), persistence.Append{Stream: "list-0", Events: []persistence.Event{{ID: byHand, Type: "test.kept", Payload: []byte(`{}`)}}})
	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	_, stored := headersOf(t, journal, "0")
	cause := stored[0]

	for i := range 3 {
		id := fmt.Sprint(i + 1)
		_, err := PutInto.Ask(actors.CausedBy(t.Context(), &cause), system, id, Put{Tag: "x"})
		require.NoError(t, err)
		headers, recorded := headersOf(t, journal, id)
		require.Equal(t, cause.ID[:], headers[0].CausationId)
		require.Equal(t, byHand[:], headers[0].CorrelationId, "the first event says of no call, so it is one itself")
		cause = recorded[0]
	}
}
