package projections_test

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/projections"
)

func TestFollowsFromTheBeginning(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		w.add("a-1", 1, 2)
		target := projections.InMemory(new(sums))
		runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).Into(target))

		w.waitFor(runner, "sums", w.add("a-2", 3))

		target.View(func(s *sums) {
			require.Equal(t, map[string]int{"a-1": 3, "a-2": 3}, s.Of)
			require.Equal(t, []string{"a-1@1", "a-1@2", "a-2@1"}, s.Seen)
		})
		settle()
		info, err := runner.Info(t.Context(), "sums")
		require.NoError(t, err)
		require.Equal(t, projections.Live, info.Status)
		require.True(t, info.Active)
		require.Equal(t, projections.Lag{Known: true}, info.Lag)
	})
}

func TestGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		definition := projections.Define("sums", 1, projections.On(inState))
		for range 3 {
			runner, stop := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
			w.waitFor(runner, "sums", w.add("a-1", 1, 2, 3))
			stop()
		}
		runner, _ := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
		settle()

		state, err := runner.State(t.Context(), "sums")

		require.NoError(t, err)
		var s sums
		require.NoError(t, json.Unmarshal(state, &s))
		require.Equal(t, map[string]int{"a-1": 18}, s.Of)
		require.Len(t, s.Seen, 9)
	})
}

func TestSources(t *testing.T) {
	t.Parallel()
	cases := map[string]struct {
		options []projections.Option
		want    map[string]int
	}{
		"all":              {nil, map[string]int{"a-1": 1, "a-2": 2, "b-1": 4}},
		"all by name":      {[]projections.Option{projections.FromAll()}, map[string]int{"a-1": 1, "a-2": 2, "b-1": 4}},
		"with the system":  {[]projections.Option{projections.IncludeSystem()}, map[string]int{"a-1": 1, "a-2": 2, "b-1": 4, "$s-1": 8}},
		"one stream":       {[]projections.Option{projections.FromStreams("a-2")}, map[string]int{"a-2": 2}},
		"streams":          {[]projections.Option{projections.FromStreams("a-2", "$s-1")}, map[string]int{"a-2": 2, "$s-1": 8}},
		"a kind":           {[]projections.Option{projections.FromKinds("a")}, map[string]int{"a-1": 1, "a-2": 2}},
		"kinds":            {[]projections.Option{projections.FromKinds("b", "$s")}, map[string]int{"b-1": 4, "$s-1": 8}},
		"tags":             {[]projections.Option{projections.FromTags("even", "odd")}, map[string]int{"a-2": 2}},
		"a filter":         {[]projections.Option{projections.Where(filter.Stream().Prefix("b"))}, map[string]int{"b-1": 4}},
		"a filter of mine": {[]projections.Option{projections.FromKinds("a"), projections.Where(mine{})}, map[string]int{"a-2": 2}},
		"two workers":      {[]projections.Option{projections.Workers(2)}, map[string]int{"a-1": 1, "a-2": 2, "b-1": 4}},
		"many workers":     {[]projections.Option{projections.Workers(64)}, map[string]int{"a-1": 1, "a-2": 2, "b-1": 4}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			virtually(t, func(t *testing.T, w world) {
				target := projections.InMemory(new(sums))
				runner, _ := w.run(projections.Config{}, projections.Define("sums", 1, projections.On(inMemory)).With(c.options...).Into(target))
				w.add("a-1", 1)
				w.store(persistence.Append{Stream: "a-2", Events: []persistence.Event{{Type: "added", Payload: []byte(`{"N":2}`), Tags: []string{"even"}}}})
				w.add("b-1", 4)
				w.add("$s-1", 8)
				last := w.store(persistence.Append{Stream: "c-1", Events: appendEvent(nil, "noise", noise{})})

				w.waitFor(runner, "sums", last)

				target.View(func(s *sums) { require.Equal(t, c.want, s.Of) })
			})
		})
	}
}

// mine is a filter that no journal can look into.
type mine struct{}

func (mine) Match(recorded *persistence.Recorded) bool { return recorded.Stream == "a-2" }
func (mine) Check() error                              { return nil }

func TestAnyTakesAll(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		target := projections.InMemory(new([]string))
		runner, _ := w.run(projections.Config{}, projections.Define("all", 1, projections.Any(
			func(_ context.Context, all *[]string, recorded persistence.Recorded) error {
				*all = append(*all, recorded.Type)
				return nil
			})).Into(target))
		w.add("a-1", 1)

		w.waitFor(runner, "all", w.store(persistence.Append{Stream: "c-1", Events: appendEvent(nil, "noise", noise{})}))

		target.View(func(all *[]string) { require.Equal(t, []string{"added", "noise"}, *all) })
	})
}

func TestMistakesAreFoundAtTheStart(t *testing.T) {
	t.Parallel()
	on := projections.On(inMemory)
	target := projections.InMemory(new(sums))
	cases := map[string]struct {
		definition *projections.Definition[*sums]
		want       string
	}{
		"a name":              {projections.Define("Sums!", 1, on), "projection must match"},
		"no name":             {projections.Define("", 1, on), "projection must match"},
		"a version":           {projections.Define("sums", 0, on), "the version is below 1"},
		"no handler":          {projections.Define[*sums]("sums", 1), "no handler: add an On, or Any"},
		"two for one type":    {projections.Define("sums", 1, on, on), "event added is handled twice"},
		"On and Any":          {projections.Define("sums", 1, on, projections.Any(func(context.Context, *sums, persistence.Recorded) error { return nil })), "exclude each other"},
		"two sources":         {projections.Define("sums", 1, on).With(projections.FromKinds("a"), projections.FromAll()), "FromAll is a second source"},
		"an empty source":     {projections.Define("sums", 1, on).With(projections.FromKinds()), "FromKinds names nothing"},
		"workers":             {projections.Define("sums", 1, on).With(projections.Workers(3)), "3 workers: give a power of two"},
		"a policy":            {projections.Define("sums", 1, on).With(projections.OnFailure(7)), "an unknown policy"},
		"negative retries":    {projections.Define("sums", 1, on).With(projections.Retries(-1, 0)), "Retries is negative"},
		"a stream":            {projections.Define("sums", 1, on).With(projections.FromStreams("")), "stream is empty"},
		"a filter":            {projections.Define("sums", 1, on).With(projections.Where(filter.Stream().Regex("("))), "invalid"},
		"no message":          {projections.Define("sums", 1, projections.On(func(context.Context, *sums, projections.Event[int]) error { return nil })), "neither a protobuf message nor a struct"},
		"a nil handler":       {projections.Define("sums", 1, projections.On[*sums, added](nil)), "has a nil handler"},
		"a nil lane":          {projections.Define("sums", 1, on).With(projections.LaneBy(nil)), "LaneBy is given twice or without a function"},
		"a kind":              {projections.Define("sums", 1, on).With(projections.FromKinds("a-b")), "kind of a stream ends"},
		"a tag":               {projections.Define("sums", 1, on).With(projections.FromTags("")), "no event can have it"},
		"no filter":           {projections.Define("sums", 1, on).With(projections.Where(nil)), "Where is given twice or without a filter"},
		"a nil Setup":         {projections.Define("sums", 1, on, projections.Setup[*sums](nil)), "Setup is given twice or without a function"},
		"more than one thing": {projections.Define("x!", 0, on, on), "the version is below 1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := projections.New(projections.Config{Journal: world{}, Projections: []projections.Projection{c.definition.Into(target)}})

			require.ErrorContains(t, err, c.want)
		})
	}
	t.Run("of targets", func(t *testing.T) {
		t.Parallel()
		_, err := projections.New(projections.Config{Journal: world{}, Projections: []projections.Projection{
			projections.Define("a", 1, on).Into(nil),
			projections.Define("b", 1, on).Into((*projections.Memory[sums])(nil)),
			projections.Define("c", 1, on).Into(projections.InMemory[sums](nil)),
			projections.Define("d", 1, on).Into(projections.External(new(sums), nil)),
			projections.Define("e", 1, projections.On(inState)).Into(projections.Persist[sums](nil)),
			projections.Define("f", 1, projections.On(inState)).With(projections.Workers(2)).Into(projections.Persist[sums](new(projections.Books))),
		}})

		for _, want := range []string{"a has a nil target", "b has a nil target", "c has a nil model", "d has a nil store", "e has a nil store", "a state has one worker"} {
			require.ErrorContains(t, err, want)
		}
	})
	t.Run("of the configuration", func(t *testing.T) {
		t.Parallel()
		one := projections.Define("sums", 1, on).Into(target)

		_, err := projections.New(projections.Config{PollInterval: -1, Projections: []projections.Projection{
			nil, one, one,
			projections.Define("sums", 2, on).Into(projections.InMemory(new(sums))),
		}})

		for _, want := range []string{"no journal", "negative Config.PollInterval", "a nil projection", "listed twice", "different stores"} {
			require.ErrorContains(t, err, want)
		}
	})
}

func TestPassingOverIsRemembered(t *testing.T) {
	t.Parallel()
	virtually(t, func(t *testing.T, w world) {
		books := new(projections.Books)
		definition := projections.Define("sums", 1, projections.On(inState)).With(projections.FromKinds("b"))
		runner, _ := w.run(projections.Config{}, definition.Into(projections.Persist[sums](books)))
		last := w.add("a-1", 1, 2, 3)

		w.waitFor(runner, "sums", last)
		time.Sleep(6 * time.Second)

		var workers []projections.Worker
		require.NoError(t, books.Update(t.Context(), func(ctx context.Context, book projections.Book) (err error) {
			workers, err = book.Workers(ctx, "sums", 1)
			return err
		}))
		require.Len(t, workers, 1)
		require.True(t, workers[0].Checkpoint.Positions().Covers(last))
		settle()
		status, err := runner.Status("sums")
		require.NoError(t, err)
		require.Equal(t, projections.Live, status)
	})
}
