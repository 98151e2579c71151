package actors_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// What stands around sees every command, the first outermost, on the way in and on
// the way back.
func TestAround(t *testing.T) {
	t.Parallel()
	var seen []string
	note := func(name string) actors.Around {
		return func(ctx context.Context, asked actors.Asked, next func(context.Context) (any, error)) (any, error) {
			seen = append(seen, name+" in "+asked.Command+" "+asked.Kind+" "+asked.ID)
			reply, err := next(ctx)
			seen = append(seen, name+" out")
			return reply, err
		}
	}
	var receipt actors.Receipt
	var id persistence.CommandID
	journal := new(memory.Journal)
	system := open(t, actors.Config{Journal: journal, Around: []actors.Around{
		note("first"),
		func(ctx context.Context, asked actors.Asked, next func(context.Context) (any, error)) (any, error) {
			id = asked.CommandID
			require.Equal(t, Put{Tag: "x"}, asked.Message)
			require.False(t, asked.Sent)
			return next(actors.WithActor(ctx, "ann"))
		},
		note("last"),
	}})

	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.ReceiptTo(&receipt))

	require.NoError(t, err)
	require.Equal(t, []string{"first in test.put list a", "last in test.put list a", "last out", "first out"}, seen)
	require.Equal(t, receipt.Command, id)
	headers, _ := headersOf(t, journal, "a")
	require.Equal(t, "ann", headers[0].Actor)
	require.Equal(t, id[:], headers[0].CommandId)
}

// A guard refuses before the command reaches its aggregate; one for replies keeps
// them from the caller.
func TestGuards(t *testing.T) {
	t.Parallel()
	forbidden := errors.New("forbidden")
	system := open(t, actors.Config{Around: []actors.Around{
		actors.Guard(func(_ context.Context, asked actors.Asked) error {
			if asked.ID == "secret" {
				return forbidden
			}
			return nil
		}),
		actors.GuardReply(func(_ context.Context, _ actors.Asked, reply any) error {
			if len(reply.(Seen).Tags) > 1 {
				return forbidden
			}
			return nil
		}),
	}})

	_, err := PutInto.Ask(t.Context(), system, "secret", Put{Tag: "x"})
	require.Equal(t, forbidden, err)
	require.Empty(t, stored(t, system.Journal(), "secret"))
	require.Zero(t, system.Stats().Active)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})
	require.NoError(t, err)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Do: reject})
	require.Equal(t, errRejected, err)
	_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"})
	require.ErrorIs(t, err, forbidden)
	require.Equal(t, persistence.ErrDone, failure(t, err).Kind)
	require.Equal(t, []string{"x", "y"}, stored(t, system.Journal(), "a"), "it has happened")
}

// A function in Config.Around may return any error. The caller hears what became of the
// command, and not of other commands that the function asked.
func TestErrorsOfWhatStandsAround(t *testing.T) {
	t.Parallel()
	type next = func(context.Context) (any, error)
	plain, elsewhere := errors.New("plain"), &persistence.Error{Kind: persistence.ErrUnknownOutcome, Op: "ask another"}
	before := func(err error) actors.Around {
		return func(context.Context, actors.Asked, next) (any, error) { return nil, err }
	}
	behind := func(err error) actors.Around {
		return func(ctx context.Context, _ actors.Asked, next next) (any, error) { _, _ = next(ctx); return nil, err }
	}
	for name, c := range map[string]struct {
		around actors.Around
		asked  Put
		kind   persistence.ErrorKind
	}{
		"a refusal":                            {before(plain), Put{Tag: "x"}, persistence.ErrRejected},
		"a refusal with a kind":                {before(fmt.Errorf("no: %w", persistence.ErrNotFound)), Put{Tag: "x"}, persistence.ErrNotFound},
		"a time-out of a guard":                {before(context.DeadlineExceeded), Put{Tag: "x"}, persistence.ErrUnavailable},
		"another command's outcome, before":    {before(elsewhere), Put{Tag: "x"}, persistence.ErrUnavailable},
		"another command's outcome, wrapped":   {before(fmt.Errorf("guard: %w", elsewhere)), Put{Tag: "x"}, persistence.ErrUnavailable},
		"a reply kept back":                    {behind(plain), Put{Tag: "x"}, persistence.ErrDone},
		"another command's outcome, behind":    {behind(elsewhere), Put{Tag: "x"}, persistence.ErrDone},
		"another error for that of the domain": {behind(plain), Put{Do: reject}, persistence.ErrRejected},
		"a worse error for that of the domain": {behind(elsewhere), Put{Do: reject}, persistence.ErrRejected},
		"another error for the runtime's":      {behind(plain), Put{Do: raisesNil}, persistence.ErrInvalid},
		"the error of a panic":                 {actors.LogAround(slog.New(slog.DiscardHandler)), Put{Do: panics}, persistence.ErrRejected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system := open(t, actors.Config{Around: []actors.Around{c.around}})

			_, err := PutInto.Ask(t.Context(), system, "a", c.asked)

			class, _ := persistence.Classify(err)
			require.Equal(t, c.kind, class.Kind, err)
			require.Equal(t, c.kind == persistence.ErrDone, len(stored(t, system.Journal(), "a")) == 1)
			for _, other := range persistence.Classes() {
				require.False(t, errors.Is(err, other.Kind) && (other.Effect != class.Effect || other.Retry != class.Retry), other.Kind)
			}
		})
	}
}

// What cannot reach an aggregate at all does not pass what stands around it.
func TestAroundSeesNothingInvalid(t *testing.T) {
	t.Parallel()
	system := open(t, actors.Config{Around: []actors.Around{actors.Guard(func(context.Context, actors.Asked) error {
		t.Error("asked")
		return nil
	})}})

	_, err := PutInto.Ask(t.Context(), system, "", Put{})
	require.ErrorIs(t, err, persistence.ErrInvalid)
	require.ErrorContains(t, actors.Check(actors.Config{Around: []actors.Around{nil}}), "function 1 in Config.Around is nil")
}

func TestLogAround(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{}
		}
		return a
	}}))
	system := open(t, actors.Config{Around: []actors.Around{actors.LogAround(logger)}})

	for _, c := range []Put{{Tag: "x"}, {Do: reject}, {Do: panics}, {Do: raisesNil}} {
		_, _ = PutInto.Ask(t.Context(), system, "a", c)
	}

	require.Equal(t, `level=DEBUG msg=command kind=list id=a command=test.put err=<nil>
level=INFO msg=command kind=list id=a command=test.put err=no
level=INFO msg=command kind=list id=a command=test.put err="test.put on list-a: rejected (panic): panicked with a string"
level=WARN msg=command kind=list id=a command=test.put err="test.put on list-a: invalid: event <nil> is nil"
`, out.String())
}

// What stands around and refuses a command that an aggregate sent does so for good:
// its sender has recorded the refusal, and a delivery that comes again must not be
// let in.
func TestRefusalOfSentIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		forbidden := errors.New("forbidden")
		refuse := true
		journal := new(memory.Journal)
		system := open(t, actors.Config{Journal: journal, Around: []actors.Around{actors.Guard(func(_ context.Context, asked actors.Asked) error {
			if refuse && asked.Kind == "list" {
				return forbidden
			}
			return nil
		})}})
		id := persistence.CommandID(persistence.NewEventID())
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, time.Now()))
		require.Equal(t, forbidden, err)
		refuse = false

		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, time.Now()))

		rejected, ok := errors.AsType[*actors.RejectedError](err)
		require.True(t, ok, err)
		require.Equal(t, "forbidden", rejected.Text)
		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"})
		require.NoError(t, err)
		require.Equal(t, []string{"y"}, stored(t, journal, "a"))
	})
}

// A guard that comes too late changes nothing: the command was accepted, and a guard
// that cannot say anything yet has not refused.
func TestLateRefusalOfSent(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var says error
		system := open(t, actors.Config{Around: []actors.Around{actors.Guard(func(context.Context, actors.Asked) error { return says })}})
		id := persistence.CommandID(persistence.NewEventID())
		says = &persistence.Error{Kind: persistence.ErrUnavailable, Reason: "no answer"}
		_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, time.Now()))
		require.Equal(t, says, err)
		says = nil
		_, err = PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, time.Now()))
		require.NoError(t, err)
		says = errors.New("forbidden")

		seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"}, actors.Sent(id, time.Now()))

		require.NoError(t, err)
		require.Equal(t, []string{"x"}, seen.Tags)
	})
}
