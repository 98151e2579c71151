package hooks_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/hooks"
	"github.com/stele-es/stele/persistence/memory"
)

// trace writes down what hooks are told.
type trace struct {
	mu    sync.Mutex // protects lines
	lines []string
}

func (tr *trace) line(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf(format, args...))
}

// taken returns the lines since it was last called.
func (tr *trace) taken() []string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	lines := tr.lines
	tr.lines = nil
	return lines
}

// hook has all functions there are.
func (tr *trace) hook(name string) hooks.Hook {
	return hooks.Hook{
		Name: name,
		BeforeAppend: func(_ context.Context, a *persistence.Append) error {
			tr.line("%s before %s", name, a.Stream)
			return nil
		},
		AroundAppend: func(_ context.Context, a *persistence.Append) func(persistence.Outcome) {
			tr.line("%s around %s", name, a.Stream)
			return func(o persistence.Outcome) { tr.line("%s around %d %v", name, o.Last, o.Err) }
		},
		AfterAppend: func(_ context.Context, a *persistence.Append, o persistence.Outcome) {
			tr.line("%s after %s %d %v", name, a.Stream, o.Last, o.Err)
		},
		BeforeRead: func(_ context.Context, r *hooks.Reading) error {
			tr.line("%s before reading %q", name, r.Stream)
			return nil
		},
		AroundRead: func(_ context.Context, r *hooks.Reading) func(int, error) {
			tr.line("%s around reading %q", name, r.Stream)
			return func(events int, err error) { tr.line("%s around %d events %v", name, events, err) }
		},
		AfterRead: func(_ context.Context, _ *hooks.Reading, e *persistence.Recorded) error {
			tr.line("%s reads %d", name, e.Version)
			return nil
		},
	}
}

func hooked() (journal *hooks.Journal, behind *memory.Journal) {
	behind = memory.New(memory.Config{})
	return hooks.New(hooks.Config{Journal: behind}), behind
}

func event(payload string) persistence.Event {
	return persistence.Event{Type: "noted", Payload: []byte(payload)}
}

func single(stream persistence.StreamID, events ...persistence.Event) persistence.Append {
	return persistence.Append{Stream: stream, Expected: persistence.Any, Events: events}
}

// ways are the ways in which one append can reach a journal. Each returns its
// outcome, with an error that is not in it put there.
func ways() map[string]func(context.Context, *hooks.Journal, persistence.Append) persistence.Outcome {
	return map[string]func(context.Context, *hooks.Journal, persistence.Append) persistence.Outcome{
		"Append": func(ctx context.Context, journal *hooks.Journal, a persistence.Append) persistence.Outcome {
			outcomes, err := journal.Append(ctx, a)
			if err != nil {
				return persistence.Outcome{Err: err}
			}
			return outcomes[0]
		},
		"Submit": func(_ context.Context, journal *hooks.Journal, a persistence.Append) persistence.Outcome {
			outcomes := make(chan persistence.Outcome, 1)
			if err := journal.Submit(a, nil, func(o persistence.Outcome) { outcomes <- o }); err != nil {
				return persistence.Outcome{Err: err}
			}
			return <-outcomes
		},
		"Transact": func(ctx context.Context, journal *hooks.Journal, a persistence.Append) persistence.Outcome {
			var outcome persistence.Outcome
			err := journal.Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
				outcomes, err := tx.Append(a)
				if err == nil {
					outcome = outcomes[0]
				}
				return err
			})
			if err != nil {
				return persistence.Outcome{Err: err}
			}
			return outcome
		},
	}
}

func TestOrder(t *testing.T) {
	t.Parallel()
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, _ := hooked()
			var tr trace
			journal.Add(tr.hook("outer"))
			remove := journal.Add(tr.hook("inner"))

			outcome := way(t.Context(), journal, single("a-1", event("1"), event("2")))

			require.NoError(t, outcome.Err)
			require.EqualValues(t, 2, outcome.Last)
			require.Equal(t, []string{
				"outer before a-1", "outer around a-1", "inner before a-1", "inner around a-1",
				"inner around 2 <nil>", "inner after a-1 2 <nil>", "outer around 2 <nil>", "outer after a-1 2 <nil>",
			}, tr.taken())

			remove()
			remove()
			require.NoError(t, way(t.Context(), journal, single("a-1", event("3"))).Err)
			require.Equal(t, []string{"outer before a-1", "outer around a-1", "outer around 3 <nil>", "outer after a-1 3 <nil>"}, tr.taken())
		})
	}
}

// A refusal reaches the caller, who knows from it that nothing was stored. Those outside hear of
// it, those inside do not.
func TestRefusal(t *testing.T) {
	t.Parallel()
	errRefused := errors.New("not on a Sunday")
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, behind := hooked()
			var tr trace
			journal.Add(tr.hook("outer"))
			refuse := tr.hook("refuses")
			refuse.BeforeAppend = func(context.Context, *persistence.Append) error { return errRefused }
			journal.Add(refuse)
			journal.Add(tr.hook("inner"))

			outcome := way(t.Context(), journal, single("a-1", event("1")))

			refusal := refusedBy("refuses", errRefused)
			require.Equal(t, refusal, outcome.Err)
			require.ErrorIs(t, outcome.Err, errRefused)
			require.Equal(t, []string{
				"outer before a-1", "outer around a-1", "outer around 0 " + refusal.Error(), "outer after a-1 0 " + refusal.Error(),
			}, tr.taken())
			_, err := behind.Stream(t.Context(), "a-1")
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		})
	}
}

// Of several appends in one call the others go on.
func TestRefusalOfOneAmongSeveral(t *testing.T) {
	t.Parallel()
	errRefused := errors.New("no")
	journal, behind := hooked()
	var tr trace
	journal.Add(tr.hook("outer"))
	journal.Add(hooks.Hook{BeforeAppend: func(_ context.Context, a *persistence.Append) error {
		if a.Stream == "b-1" {
			return errRefused
		}
		return nil
	}})

	outcomes, err := journal.Append(t.Context(), single("a-1", event("1")), single("b-1", event("1")), single("a-1", event("2")))

	require.NoError(t, err)
	require.NoError(t, outcomes[0].Err)
	refusal := refusedBy("", errRefused)
	require.Equal(t, persistence.Outcome{Err: refusal}, outcomes[1])
	require.EqualValues(t, 2, outcomes[2].Last)
	head, err := behind.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{2}, head)
	require.Equal(t, []string{
		"outer before a-1", "outer around a-1", "outer before b-1", "outer around b-1", "outer around 0 " + refusal.Error(), "outer after b-1 0 " + refusal.Error(),
		"outer before a-1", "outer around a-1",
		"outer around 1 <nil>", "outer after a-1 1 <nil>", "outer around 2 <nil>", "outer after a-1 2 <nil>",
	}, tr.taken())

	outcomes, err = journal.Append(t.Context(), single("b-1", event("1")))
	require.NoError(t, err)
	require.Equal(t, []persistence.Outcome{{Err: refusal}}, outcomes)
}

// refusedBy is the refusal of a hook whose own error has no kind.
func refusedBy(hook string, err error) error {
	return &persistence.Error{Kind: persistence.ErrRejected, Reason: fmt.Sprintf("refused by hook %q", hook), Err: err}
}

// What a refusal says of itself stays, unless it says that something may be stored.
func TestRefusalKeepsItsKind(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refusal error
		want    persistence.ErrorKind
		same    bool
	}{
		"the other service is away": {&persistence.UnavailableError{Reason: "down"}, persistence.ErrUnavailable, true},
		"the input is wrong":        {&persistence.InvalidError{Field: "metadata"}, persistence.ErrInvalid, true},
		"of no kind":                {errors.New("no"), persistence.ErrRejected, false},
		"the hook has no more time": {fmt.Errorf("ask who it is: %w", context.DeadlineExceeded), persistence.ErrUnavailable, false},
		"nobody knows what became of what the hook did itself": {
			fmt.Errorf("note it elsewhere: %w", &persistence.UnknownOutcomeError{}), persistence.ErrUnavailable, false,
		},
	} {
		for way, append := range ways() {
			t.Run(name+", "+way, func(t *testing.T) {
				t.Parallel()
				journal, _ := hooked()
				journal.Add(hooks.Hook{Name: "h", BeforeAppend: func(context.Context, *persistence.Append) error { return c.refusal }})

				outcome := append(t.Context(), journal, single("a-1", event("1")))

				require.Equal(t, c.want, persistence.ErrorKindOf(outcome.Err))
				require.ErrorIs(t, outcome.Err, c.refusal)
				require.Equal(t, c.same, outcome.Err == c.refusal) //nolint:errorlint // the same, not one like it
			})
		}
	}
}

// What the journal itself refuses is the outcome that hooks hear of.
func TestFailure(t *testing.T) {
	t.Parallel()
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, _ := hooked()
			var tr trace
			journal.Add(tr.hook("h"))
			conflicting := single("a-1", event("1"))
			conflicting.Expected = persistence.Exact(7)

			conflict := way(t.Context(), journal, conflicting).Err
			require.ErrorIs(t, conflict, persistence.ErrConflict)
			require.Equal(t, []string{
				"h before a-1", "h around a-1", "h around 0 " + conflict.Error(), "h after a-1 0 " + conflict.Error(),
			}, tr.taken())

			invalid := way(t.Context(), journal, single("", event("1"))).Err
			require.ErrorIs(t, invalid, persistence.ErrInvalid)
			require.Equal(t, []string{"h before ", "h around ", "h around 0 " + invalid.Error(), "h after  0 " + invalid.Error()}, tr.taken())
		})
	}
}

func TestEnrich(t *testing.T) {
	t.Parallel()
	type tenantKey struct{}
	for name, way := range ways() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, behind := hooked()
			journal.Add(hooks.Metadata(func(ctx context.Context) persistence.Metadata {
				tenant, _ := ctx.Value(tenantKey{}).(string)
				return persistence.Metadata{"tenant": persistence.String(tenant), "first": persistence.Bool(true)}
			}))
			journal.Add(hooks.Enrich(func(_ context.Context, a *persistence.Append) {
				for i := range a.Events {
					a.Events[i].Metadata["place"] = persistence.Int(int64(i))
					a.Events[i].Tags = append(a.Events[i].Tags, "late")
				}
			}))
			metadata, tags := persistence.Metadata{"first": persistence.Bool(false)}, append(make([]string, 0, 8), "early")
			given := single("a-1", event("1"), event("2"))
			given.Events[0].Metadata, given.Events[0].Tags, given.Events[1].Tags = metadata, tags, tags

			require.NoError(t, way(context.WithValue(t.Context(), tenantKey{}, "acme"), journal, given).Err)

			tenant := "acme"
			if name == "Submit" {
				tenant = "" // it has no context
			}
			events := all(t, behind, "a-1")
			require.Equal(t, persistence.Metadata{
				"tenant": persistence.String(tenant), "first": persistence.Bool(false), "place": persistence.Int(0),
			}, events[0].Metadata)
			require.Equal(t, persistence.Metadata{
				"tenant": persistence.String(tenant), "first": persistence.Bool(true), "place": persistence.Int(1),
			}, events[1].Metadata)
			for _, e := range events {
				require.Equal(t, []string{"early", "late"}, e.Tags)
			}
			require.Equal(t, persistence.Metadata{"first": persistence.Bool(false)}, metadata, "the caller's own was changed")
			require.Equal(t, metadata, given.Events[0].Metadata, "the caller's own was changed")
			require.Equal(t, []string{"early"}, given.Events[0].Tags, "the caller's own was changed")
			require.Equal(t, []string{"early", "", ""}, tags[:3], "the caller's own was written into")
		})
	}
}

// What opens is outside of what seals when it is added first, on both ways.
func TestChangesAreUndoneInTheOppositeOrder(t *testing.T) {
	t.Parallel()
	journal, behind := hooked()
	wrap := func(mark byte) hooks.Hook {
		return hooks.Hook{
			BeforeAppend: func(_ context.Context, a *persistence.Append) error {
				for i := range a.Events {
					a.Events[i].Payload = append([]byte{mark}, a.Events[i].Payload...)
				}
				return nil
			},
			AfterRead: func(_ context.Context, _ *hooks.Reading, e *persistence.Recorded) error {
				if e.Payload[0] != mark {
					return fmt.Errorf("sealed with %c and not with %c", e.Payload[0], mark)
				}
				e.Payload = e.Payload[1:]
				return nil
			},
		}
	}
	journal.Add(wrap('1'))
	journal.Add(wrap('2'))

	_, err := journal.Append(t.Context(), single("a-1", event("plain")))

	require.NoError(t, err)
	require.Equal(t, "21plain", string(all(t, behind, "a-1")[0].Payload))
	require.Equal(t, "plain", string(all(t, journal, "a-1")[0].Payload))
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		require.Equal(t, "plain", string(page.Events[0].Payload))
	}
	pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-1", Limit: 1}})
	require.NoError(t, err)
	require.Equal(t, "plain", string(pages[0].Events[0].Payload))
	require.NoError(t, journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		events, err := tx.Read("a-1", persistence.ReadOptions{})
		require.NoError(t, err)
		require.Equal(t, "plain", string(events[0].Payload))
		return nil
	}))
}

func TestPanics(t *testing.T) {
	t.Parallel()
	for name, way := range ways() {
		t.Run("before an append, by "+name, func(t *testing.T) {
			t.Parallel()
			for _, hook := range []hooks.Hook{
				{Name: "bad", BeforeAppend: func(context.Context, *persistence.Append) error { panic("secret") }},
				{Name: "bad", AroundAppend: func(context.Context, *persistence.Append) func(persistence.Outcome) { panic("secret") }},
			} {
				journal, behind := hooked()
				journal.Add(hook)

				err := way(t.Context(), journal, single("a-1", event("1"))).Err

				require.ErrorIs(t, err, persistence.ErrRejected)
				require.EqualError(t, err, `rejected (panic): hook "bad" panicked with a string`)
				class, known := persistence.Classify(err)
				require.True(t, known)
				require.Equal(t, persistence.NotDone, class.Effect)
				head, err := behind.Head(t.Context())
				require.NoError(t, err)
				require.Equal(t, persistence.Positions{0}, head)
			}
		})
		t.Run("after an append, by "+name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			journal := hooks.New(hooks.Config{Journal: memory.New(memory.Config{}), Logger: slog.New(slog.NewTextHandler(&log, nil))})
			var tr trace
			journal.Add(tr.hook("outer"))
			journal.Add(hooks.Hook{
				Name: "bad",
				AroundAppend: func(context.Context, *persistence.Append) func(persistence.Outcome) {
					return func(persistence.Outcome) { panic("secret") }
				},
				AfterAppend: func(context.Context, *persistence.Append, persistence.Outcome) { panic(42) },
			})

			outcome := way(t.Context(), journal, single("a-1", event("1")))

			require.NoError(t, outcome.Err)
			require.EqualValues(t, 1, outcome.Last)
			require.Contains(t, tr.taken(), "outer after a-1 1 <nil>")
			require.Contains(t, log.String(), `msg="hook did not return" stream=a-1 err="hook \"bad\" panicked with a string"`)
			require.Contains(t, log.String(), `err="hook \"bad\" panicked with a int"`)
			require.NotContains(t, log.String(), "secret")
		})
	}
	t.Run("before reading", func(t *testing.T) {
		t.Parallel()
		journal, _ := hooked()
		require.NoError(t, ways()["Append"](t.Context(), journal, single("a-1", event("1"))).Err)
		journal.Add(hooks.Hook{Name: "bad", BeforeRead: func(context.Context, *hooks.Reading) error { panic("secret") }})

		for _, err := range journal.Read(t.Context(), "a-1", persistence.ReadOptions{}) {
			require.EqualError(t, err, `unavailable: hook "bad" panicked with a string`)
		}
	})
	t.Run("on an event", func(t *testing.T) {
		t.Parallel()
		journal, _ := hooked()
		require.NoError(t, ways()["Append"](t.Context(), journal, single("a-1", event("1"))).Err)
		journal.Add(hooks.Hook{Name: "bad", AfterRead: func(_ context.Context, _ *hooks.Reading, e *persistence.Recorded) error {
			e.Stream = "secret"
			panic("secret")
		}})

		for _, err := range journal.Read(t.Context(), "a-1", persistence.ReadOptions{}) {
			require.ErrorIs(t, err, persistence.ErrCorrupt)
			require.EqualError(t, err, `corrupt a-1 at version 1: hook "bad" panicked with a string`)
		}
	})
	t.Run("after reading", func(t *testing.T) {
		t.Parallel()
		var log bytes.Buffer
		journal := hooks.New(hooks.Config{Journal: memory.New(memory.Config{}), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, ways()["Append"](t.Context(), journal, single("a-1", event("1"))).Err)
		var tr trace
		journal.Add(tr.hook("outer"))
		journal.Add(hooks.Hook{Name: "bad", AroundRead: func(context.Context, *hooks.Reading) func(int, error) {
			return func(int, error) { panic("secret") }
		}})

		require.Len(t, all(t, journal, "a-1"), 1)
		require.Contains(t, tr.taken(), "outer around 1 events <nil>")
		require.Contains(t, log.String(), `msg="hook did not return" stream=a-1 err="hook \"bad\" panicked with a string"`)
	})
}

func TestTransaction(t *testing.T) {
	t.Parallel()
	errChanged := errors.New("changed my mind")
	cases := map[string]struct {
		end  func() error
		want string
	}{
		"committed":   {func() error { return nil }, "<nil>"},
		"rolled back": {func() error { return errChanged }, errChanged.Error()},
		"panicked":    {func() error { panic(errChanged) }, "unavailable: the transaction was rolled back"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, _ := hooked()
			var tr trace
			journal.Add(tr.hook("h"))

			run := func() error {
				return journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
					outcomes, err := tx.Append(single("a-1", event("1")), single("b-1", event("1"), event("2")))
					require.NoError(t, err)
					require.Len(t, outcomes, 2)
					events, err := tx.Read("b-1", persistence.ReadOptions{})
					require.NoError(t, err)
					require.Len(t, events, 2)
					require.Equal(t, []string{
						"h before a-1", "h around a-1", "h before b-1", "h around b-1",
						`h before reading "b-1"`, `h around reading "b-1"`, "h reads 1", "h reads 2", "h around 2 events <nil>",
					}, tr.taken(), "the outcome is not known before the end")
					return c.end()
				})
			}

			switch name {
			case "committed":
				require.NoError(t, run())
				require.Equal(t, []string{"h around 1 <nil>", "h after a-1 1 <nil>", "h around 2 <nil>", "h after b-1 2 <nil>"}, tr.taken())
				return
			case "panicked":
				require.PanicsWithValue(t, errChanged, func() { _ = run() })
			default:
				require.Equal(t, errChanged, run())
			}
			require.Equal(t, []string{
				"h around 0 " + c.want, "h after a-1 0 " + c.want, "h around 0 " + c.want, "h after b-1 0 " + c.want,
			}, tr.taken())
		})
	}
}

// A body that goes on after a refusal does not commit.
func TestRefusalPoisonsTransaction(t *testing.T) {
	t.Parallel()
	errRefused := errors.New("no")
	journal, behind := hooked()
	refusal, refused := refusedBy("", errRefused), 0
	remove := journal.Add(hooks.Hook{BeforeAppend: func(_ context.Context, a *persistence.Append) error {
		if a.Stream == "b-1" {
			refused++
			return errRefused
		}
		return nil
	}})

	err := journal.Transact(t.Context(), func(_ context.Context, tx persistence.Transaction) error {
		_, err := tx.Append(single("a-1", event("1")))
		require.NoError(t, err)
		_, err = tx.Append(single("a-1", event("2")), single("b-1", event("1")), single("b-1", event("2")))
		require.Equal(t, refusal, err)
		remove()
		_, err = tx.Append(single("a-1", event("3")))
		require.Equal(t, refusal, err)
		_, err = tx.Append()
		require.Equal(t, refusal, err)
		_, err = tx.Read("a-1", persistence.ReadOptions{})
		require.Equal(t, refusal, err)
		return nil
	})

	require.Equal(t, refusal, err)
	require.Equal(t, 2, refused)
	head, err := behind.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{0}, head)
}

func TestReading(t *testing.T) {
	t.Parallel()
	prepare := func(t *testing.T) (*hooks.Journal, *trace) {
		journal, _ := hooked()
		_, err := journal.Append(t.Context(), single("a-1", event("1"), event("2"), event("3")))
		require.NoError(t, err)
		tr := new(trace)
		journal.Add(tr.hook("outer"))
		journal.Add(tr.hook("inner"))
		return journal, tr
	}
	begun := func(stream string) []string {
		return []string{
			"outer before reading " + stream, "outer around reading " + stream,
			"inner before reading " + stream, "inner around reading " + stream,
		}
	}

	t.Run("a stream, to its end and not", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)

		require.Len(t, all(t, journal, "a-1"), 3)
		require.Equal(t, append(begun(`"a-1"`),
			"inner reads 1", "outer reads 1", "inner reads 2", "outer reads 2", "inner reads 3", "outer reads 3",
			"inner around 3 events <nil>", "outer around 3 events <nil>"), tr.taken())

		for range journal.Read(t.Context(), "a-1", persistence.ReadOptions{}) {
			break
		}
		require.Equal(t, append(begun(`"a-1"`), "inner reads 1", "outer reads 1", "inner around 1 events <nil>", "outer around 1 events <nil>"), tr.taken())
	})
	t.Run("a stream that is missing", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)

		for _, err := range journal.Read(t.Context(), "b-1", persistence.ReadOptions{}) {
			require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		}

		require.Equal(t, append(begun(`"b-1"`), "inner around 0 events stream b-1 not found", "outer around 0 events stream b-1 not found"), tr.taken())
	})
	t.Run("the global sequence", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)

		pages := 0
		for _, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 2}) {
			require.NoError(t, err)
			pages++
		}
		require.Equal(t, 2, pages)
		require.Equal(t, append(begun(`""`),
			"inner reads 1", "outer reads 1", "inner reads 2", "outer reads 2", "inner reads 3", "outer reads 3",
			"inner around 3 events <nil>", "outer around 3 events <nil>"), tr.taken())

		for range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 2}) {
			break
		}
		require.Contains(t, tr.taken(), "outer around 2 events <nil>")
		for _, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: -1}) {
			require.ErrorIs(t, err, persistence.ErrInvalid)
		}
		require.Contains(t, tr.taken(), "outer around 0 events invalid: page rows is negative")
	})
	t.Run("a count", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)

		count, err := journal.Count(t.Context(), "a-1", persistence.ReadOptions{})

		require.NoError(t, err)
		require.Equal(t, 3, count)
		require.Equal(t, append(begun(`"a-1"`), "inner around 3 events <nil>", "outer around 3 events <nil>"), tr.taken())
	})
	t.Run("pages", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)

		pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-1", From: 2, Limit: 1}, {Stream: "b-1", Limit: 1}, {Stream: "a-1"}})

		require.NoError(t, err)
		require.Len(t, pages[0].Events, 1)
		require.EqualValues(t, 2, pages[0].Events[0].Version)
		require.Empty(t, pages[1])
		require.ErrorIs(t, pages[2].Err, persistence.ErrInvalid)
		require.Equal(t, append(append(append(begun(`"a-1"`), begun(`"b-1"`)...), begun(`"a-1"`)...),
			"inner reads 2", "outer reads 2", "inner around 1 events <nil>", "outer around 1 events <nil>",
			"inner around 0 events <nil>", "outer around 0 events <nil>",
			"inner around 0 events "+pages[2].Err.Error(), "outer around 0 events "+pages[2].Err.Error()), tr.taken())
	})
	t.Run("pages of a journal that is closed", func(t *testing.T) {
		t.Parallel()
		journal, tr := prepare(t)
		require.NoError(t, journal.Close())

		_, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-1", Limit: 1}})

		require.ErrorIs(t, err, persistence.ErrUnavailable)
		require.Contains(t, tr.taken(), "outer around 0 events "+err.Error())
	})
}

// Whatever way somebody reads, a hook can narrow it, refuse it, and refuse what
// comes of it.
func TestEveryReadingPassesHooks(t *testing.T) {
	t.Parallel()
	readings := map[string]func(context.Context, *hooks.Journal) (int, error){
		"Read": func(ctx context.Context, journal *hooks.Journal) (events int, err error) {
			for _, err := range journal.Read(ctx, "a-1", persistence.ReadOptions{}) {
				if err != nil {
					return 0, err
				}
				events++
			}
			return events, nil
		},
		"ReadAll": func(ctx context.Context, journal *hooks.Journal) (events int, err error) {
			for page, err := range journal.ReadAll(ctx, persistence.ReadAllOptions{}) {
				if err != nil {
					return 0, err
				}
				events += len(page.Events)
			}
			return events, nil
		},
		"Count": func(ctx context.Context, journal *hooks.Journal) (int, error) {
			return journal.Count(ctx, "a-1", persistence.ReadOptions{})
		},
		"ReadPages": func(ctx context.Context, journal *hooks.Journal) (int, error) {
			pages, err := journal.ReadPages(ctx, []persistence.PageRequest{{Stream: "missing", Limit: 9}, {Stream: "a-1", Limit: 9}, {Stream: "missing", Limit: 9}})
			if err != nil {
				return 0, err
			}
			return len(pages[1].Events), pages[1].Err
		},
		"Transact": func(ctx context.Context, journal *hooks.Journal) (events int, err error) {
			err = journal.Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
				read, err := tx.Read("a-1", persistence.ReadOptions{})
				events = len(read)
				return err
			})
			return events, err
		},
	}
	for name, read := range readings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal, _ := hooked()
			_, err := journal.Append(t.Context(), single("a-1", event("1"), persistence.Event{Type: "other"}, event("3")))
			require.NoError(t, err)
			errRefused := errors.New("not yours")

			remove := journal.Add(hooks.Hook{BeforeRead: func(_ context.Context, r *hooks.Reading) error {
				require.Equal(t, name == "Count", r.Count)
				r.Options.Filter, r.All.Filter = filter.Type().Eq("other"), filter.Type().Eq("other")
				return nil
			}})
			events, err := read(t.Context(), journal)
			require.NoError(t, err)
			require.Equal(t, 1, events)
			remove()

			var tr trace
			journal.Add(hooks.Hook{AroundRead: tr.hook("outer").AroundRead})
			remove = journal.Add(hooks.Hook{BeforeRead: func(_ context.Context, r *hooks.Reading) error {
				if r.Stream == "missing" {
					return nil
				}
				return errRefused
			}})
			_, err = read(t.Context(), journal)
			require.Equal(t, errRefused, err)
			require.Contains(t, tr.taken(), "outer around 0 events not yours")
			remove()

			if name == "Count" {
				return // nothing comes of it
			}
			journal.Add(hooks.Hook{AfterRead: func(_ context.Context, _ *hooks.Reading, e *persistence.Recorded) error {
				if e.Version == 2 {
					return errRefused
				}
				return nil
			}})
			tr.taken()
			events, err = read(t.Context(), journal)
			require.Equal(t, errRefused, err)
			require.Zero(t, events)
			if name != "Read" { // which has given the first event away by then
				require.Contains(t, tr.taken(), "outer around 0 events not yours")
			}
		})
	}
}

// A page that a hook has made more than a page is still read as the hook says.
func TestPageThatIsNone(t *testing.T) {
	t.Parallel()
	journal, _ := hooked()
	_, err := journal.Append(t.Context(), single("a-1", event("1"), event("2"), event("3")))
	require.NoError(t, err)
	journal.Add(hooks.Hook{BeforeRead: func(_ context.Context, r *hooks.Reading) error {
		r.Options.Backward = true
		return nil
	}})

	pages, err := journal.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "a-1", Limit: 1}, {Stream: "missing", Limit: 1}, {Stream: "a-1"}, {Stream: "\n", Limit: 1}})

	require.NoError(t, err)
	require.Len(t, pages[0].Events, 1)
	require.EqualValues(t, 3, pages[0].Events[0].Version)
	require.Empty(t, pages[1])
	require.ErrorIs(t, pages[2].Err, persistence.ErrInvalid)
	require.ErrorIs(t, pages[3].Err, persistence.ErrInvalid)
}

// Hooks come and go while the journal works; every append that a hook has let in
// comes out at the same hook.
func TestChangingHooksInUse(t *testing.T) {
	t.Parallel()
	journal, behind := hooked()
	const writers, appends = 8, 50
	var group errgroup.Group
	var mu sync.Mutex
	in, out := 0, 0
	hook := hooks.Hook{AroundAppend: func(context.Context, *persistence.Append) func(persistence.Outcome) {
		mu.Lock()
		defer mu.Unlock()
		in++
		return func(persistence.Outcome) {
			mu.Lock()
			defer mu.Unlock()
			out++
		}
	}}
	for writer := range writers {
		group.Go(func() error {
			for range appends {
				remove := journal.Add(hook)
				if err := ways()["Append"](t.Context(), journal, single(persistence.StreamID(fmt.Sprint("a-", writer)), event("1"))).Err; err != nil {
					return err
				}
				remove()
			}
			return nil
		})
	}

	require.NoError(t, group.Wait())
	require.Equal(t, in, out)
	require.GreaterOrEqual(t, in, writers*appends)
	require.NoError(t, ways()["Append"](t.Context(), journal, single("a-0", event("1"))).Err)
	require.Equal(t, in, out, "a hook was left behind")
	head, err := behind.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, persistence.Positions{writers*appends + 1}, head)
}

// bare hides every ability of a journal.
type bare struct{ persistence.Journal }

func TestAbilities(t *testing.T) {
	t.Parallel()
	journal, behind := hooked()

	submitter, ok := persistence.As[persistence.Submitter](journal)
	require.True(t, ok)
	require.Same(t, journal, submitter)
	transactor, ok := persistence.As[persistence.Transactor](journal)
	require.True(t, ok)
	require.Same(t, journal, transactor)
	pages, ok := persistence.As[persistence.PageReader](journal)
	require.True(t, ok)
	require.Same(t, journal, pages)
	snapshots, ok := persistence.As[persistence.Snapshots](journal)
	require.True(t, ok)
	require.Same(t, behind, snapshots)

	unable := hooks.New(hooks.Config{Journal: bare{behind}})
	_, ok = persistence.As[persistence.Submitter](unable)
	require.False(t, ok)
	_, ok = persistence.As[persistence.Transactor](unable)
	require.False(t, ok)
	_, ok = persistence.As[persistence.PageReader](unable)
	require.False(t, ok)
	_, ok = persistence.As[persistence.Schemas](unable)
	require.False(t, ok)
	require.ErrorContains(t, unable.Submit(persistence.Append{}, nil, nil), "is no Submitter")
	require.ErrorContains(t, unable.Transact(t.Context(), nil), "is no Transactor")
	_, err := unable.ReadPages(t.Context(), nil)
	require.ErrorContains(t, err, "is no PageReader")
}

func all(t *testing.T, reader persistence.Reader, stream persistence.StreamID) (events []persistence.Recorded) {
	t.Helper()
	for recorded, err := range reader.Read(t.Context(), stream, persistence.ReadOptions{}) {
		require.NoError(t, err)
		events = append(events, recorded)
	}
	return events
}
