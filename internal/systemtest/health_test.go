package systemtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
	"github.com/stele-es/stele/projections"
)

// away is a journal that can be away for reading the sequence, and for appending.
type away struct {
	persistence.Journal
	head, store atomic.Bool
}

func (a *away) Head(ctx context.Context) (persistence.Positions, error) {
	if a.head.Load() {
		<-ctx.Done()
		return nil, &persistence.UnavailableError{Reason: "gone", Err: context.Cause(ctx)}
	}
	return a.Journal.Head(ctx)
}

func (a *away) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	if a.store.Load() {
		return nil, &persistence.UnavailableError{Reason: "read-only"}
	}
	return a.Journal.Append(ctx, appends...)
}

// partOf is a part of the health of a node.
func partOf(t *testing.T, node *stele.Node, name string) stele.PartHealth {
	t.Helper()
	for _, part := range node.Health(t.Context()).Parts {
		if part.Part == name {
			return part
		}
	}
	require.Fail(t, "no part "+name)
	return stele.PartHealth{}
}

// Health and readiness tell what is wrong in words, and each thing apart.
func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		journal := &away{Journal: new(memory.Journal)}
		broken := projections.Define("broken", 1, projections.Any(
			func(context.Context, *int, persistence.Recorded) error { return errors.New("broken") })).With(projections.Retries(0, 0))
		var mood atomic.Value
		moody := actors.Define("moody",
			actors.Handle(actors.NewCommand[*wrapperspb.StringValue, *wrapperspb.StringValue]("moody"),
				func(_ *counter, _ *actors.Tx, c *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
					if mood.Load() == "bad" {
						panic("mood")
					}
					return c, nil
				}))
		node, err := stele.Start(t.Context(), stele.Config{
			Journal: journal, Aggregates: stele.Aggregates{Counters, moody}, Projections: stele.Projections{broken.Into(projections.InMemory(new(int)))},
		})
		require.NoError(t, err)
		count := func(id string) error {
			_, err := Count.Ask(t.Context(), node, id, wrapperspb.UInt64(1))
			return err
		}
		synctest.Wait()

		health := node.Health(t.Context())
		require.Equal(t, "green", health.String())
		require.NoError(t, node.Ready(t.Context()))
		text, err := json.Marshal(health)
		require.NoError(t, err)
		require.Contains(t, string(text), `{"level":"green","parts":[{"part":"journal","level":"green"}`)

		// A projection that has failed is no reason to take work from the node.
		require.NoError(t, count("a"))
		<-time.After(time.Minute)
		synctest.Wait()
		require.Equal(t, "red; projection broken@1 is red: ", node.Health(t.Context()).String()[:len("red; projection broken@1 is red: ")])
		require.NoError(t, node.Ready(t.Context()))

		// Appends are refused while reading works: yellow, then red, and green when one is taken.
		journal.store.Store(true)
		require.ErrorIs(t, count("a"), persistence.ErrUnavailable)
		require.Equal(t, persistence.Yellow, partOf(t, node, "appends").Level)
		require.Contains(t, partOf(t, node, "appends").Reason, "read-only")
		<-time.After(time.Minute)
		require.Equal(t, persistence.Red, partOf(t, node, "appends").Level)
		journal.store.Store(false)
		<-time.After(time.Minute)
		require.NoError(t, count("a"))
		require.Equal(t, persistence.Green, partOf(t, node, "appends").Level)

		// The journal is away: said within two seconds, though it hangs.
		journal.head.Store(true)
		began := time.Now()
		require.ErrorIs(t, node.Ready(t.Context()), persistence.ErrUnavailable)
		require.Equal(t, 2*time.Second, time.Since(began))
		short, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began = time.Now()
		require.Error(t, node.Ready(short))
		require.Equal(t, 100*time.Millisecond, time.Since(began))
		require.Equal(t, persistence.Red, partOf(t, node, "journal").Level)
		journal.head.Store(false)
		require.Equal(t, persistence.Green, partOf(t, node, "journal").Level)

		// Aggregates that panic, and those that cannot be read, are named.
		mood.Store("bad")
		ask := actors.NewCommand[*wrapperspb.StringValue, *wrapperspb.StringValue]("moody")
		for range 5 {
			_, err := ask.Ask(t.Context(), node, "m", wrapperspb.String(""))
			require.Error(t, err)
		}
		synctest.Wait() // the last is answered before the aggregate is quarantined
		require.Equal(t, persistence.Yellow, partOf(t, node, "aggregates").Level)
		require.Contains(t, partOf(t, node, "aggregates").Reason, "moody-m")
		mood.Store("good")
		require.True(t, node.Retry("moody", "m"))
		_, err = ask.Ask(t.Context(), node, "m", wrapperspb.String(""))
		require.NoError(t, err)
		require.Equal(t, persistence.Green, partOf(t, node, "aggregates").Level)
		for i := range 7 {
			_, err = journal.Append(t.Context(), persistence.Append{
				Stream: persistence.StreamID(fmt.Sprint("counter-", i)), Expected: persistence.Any, Events: []persistence.Event{{Type: "unknown"}},
			})
			require.NoError(t, err)
			require.ErrorIs(t, count(fmt.Sprint(i)), persistence.ErrCorrupt)
		}
		<-time.After(time.Hour) // they have left memory
		require.Equal(t, stele.PartHealth{
			Part: "aggregates", Level: persistence.Red,
			Reason: "cannot be read: counter-0, counter-1, counter-2, counter-3, counter-4 and 2 more",
		}, partOf(t, node, "aggregates"))
		for i := range 7 {
			_, err := journal.Delete(t.Context(), persistence.StreamID(fmt.Sprint("counter-", i)), persistence.Any)
			require.NoError(t, err)
			require.NoError(t, count(fmt.Sprint(i)))
		}
		require.Equal(t, persistence.Green, partOf(t, node, "aggregates").Level)

		require.NoError(t, node.Stop(t.Context()))
		require.ErrorIs(t, node.Ready(t.Context()), persistence.ErrUnavailable)
		require.ErrorContains(t, node.Ready(t.Context()), "stopping")
	})
}

// A node reads its log of commands, and any stored event.
func TestNodeReads(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, journal := t.Context(), new(memory.Journal)
		logging := actors.Define("counter",
			actors.Handle(Count, func(*counter, *actors.Tx, *wrapperspb.UInt64Value) (*wrapperspb.UInt64Value, error) {
				return nil, errors.New("no")
			}),
			actors.On(func(*counter, *wrapperspb.UInt64Value) {}), actors.LogCommands[counter](actors.Contents))
		chain, err := upcast.New(upcast.Drop("viewed"), upcast.Upcaster{From: "twice", To: []string{"once"}, Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			return []upcast.Raw{raw.As("once", raw.Payload), raw.As("once", []byte(`{"N":2}`))}, nil
		}})
		require.NoError(t, err)
		node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{logging}, Upcasters: chain})
		require.NoError(t, err)
		_, err = Count.Ask(ctx, node, "a", wrapperspb.UInt64(7))
		require.Error(t, err)
		<-time.After(time.Second)

		entries := 0
		for command, err := range node.Commands(ctx, "counter", persistence.ReadOptions{}) {
			require.NoError(t, err)
			require.Equal(t, "no", command.Text)
			require.EqualValues(t, 7, command.Content.(*wrapperspb.UInt64Value).Value) //nolint:forcetypeassert // what was asked
			entries++
		}
		require.Equal(t, 1, entries)

		decode := func(event persistence.Event) ([]stele.Decoded, error) {
			return node.Decode(ctx, persistence.Recorded{Stream: "counter-x", Version: 1, Event: event})
		}
		payload, err := json.Marshal(map[string]int{"N": 1})
		require.NoError(t, err)
		known, err := decode(persistence.Event{Type: "google.protobuf.UInt64Value", Payload: []byte{8, 5}})
		require.NoError(t, err)
		require.Len(t, known, 1)
		require.EqualValues(t, 5, known[0].Message.(*wrapperspb.UInt64Value).Value) //nolint:forcetypeassert // what it is
		require.Equal(t, `"5"`, string(known[0].JSON))
		several, err := decode(persistence.Event{Type: "twice", Payload: payload})
		require.NoError(t, err)
		require.Equal(t, []stele.Decoded{
			{Type: "once", Encoding: persistence.JSON, JSON: json.RawMessage(`{"N":1}`)}, {Type: "once", Encoding: persistence.JSON, JSON: json.RawMessage(`{"N":2}`)},
		}, several)
		none, err := decode(persistence.Event{Type: "viewed"})
		require.NoError(t, err)
		require.Empty(t, none)
		_, err = decode(persistence.Event{Type: "what", Payload: []byte{1, 2, 3}})
		require.ErrorIs(t, err, persistence.ErrNotFound)
		require.NotContains(t, err.Error(), "\x01")
		require.NoError(t, node.Stop(ctx))
	})
}
