package upcast_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/upcast"
)

// A rule says what the upcaster of one type does, so that a model can say what
// must come out: the types that it yields, or that it fails.
type rule struct {
	to    []string
	fails bool
}

func (r rule) upcaster(from string) upcast.Upcaster {
	to := append([]string{}, r.to...)
	return upcast.Upcaster{From: from, To: to, Upcast: func(raw upcast.Raw) (results []upcast.Raw, err error) {
		if r.fails {
			return nil, errors.New("not understood")
		}
		for i, eventType := range to {
			results = append(results, raw.As(eventType, fmt.Appendf(slices.Clone(raw.Payload), ">%d", i)))
		}
		return results, nil
	}}
}

// today is what the model makes of one event; false is a failure.
func today(rules map[string]rule, eventType, payload string) (texts []string, ok bool) {
	r, ruled := rules[eventType]
	switch {
	case !ruled:
		return []string{eventType + ":" + payload}, true
	case r.fails:
		return nil, false
	}
	for i, next := range r.to {
		more, ok := today(rules, next, fmt.Sprintf("%s>%d", payload, i))
		if !ok {
			return nil, false
		}
		texts = append(texts, more...)
	}
	return texts, true
}

// sample is a journal with events, read through a chain, and what the model knows.
type sample struct {
	t       *rapid.T
	journal *memory.Journal
	reader  persistence.Reader
	rules   map[string]rule
	stored  []persistence.Recorded // all, by position
}

var types = []string{"a", "b", "c", "d", "e"}

func drawSample(t *rapid.T) *sample {
	s := &sample{t: t, journal: memory.New(memory.Config{}), rules: map[string]rule{}}
	failing := rapid.IntRange(0, 3).Draw(t, "failing") == 0
	for i, from := range types[:len(types)-1] {
		to := rapid.SliceOfN(rapid.SampledFrom(types[i+1:]), 0, 3).Draw(t, "to")
		if rapid.Bool().Draw(t, "ruled") {
			s.rules[from] = rule{to: to, fails: failing && rapid.Bool().Draw(t, "fails")}
		}
	}
	var upcasters []upcast.Upcaster
	for from, r := range s.rules {
		upcasters = append(upcasters, r.upcaster(from))
	}
	chain, err := upcast.New(upcasters...)
	require.NoError(t, err)
	s.reader = upcast.Reader(s.journal, chain)
	events := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) persistence.Append {
		return persistence.Append{
			Stream:   persistence.StreamID(rapid.SampledFrom([]string{"x-1", "x-1", "x-2"}).Draw(t, "stream")),
			Expected: persistence.Any,
			Events:   []persistence.Event{{Type: rapid.SampledFrom(types).Draw(t, "type"), Payload: []byte(rapid.StringMatching("[0-9]").Draw(t, "payload"))}},
		}
	}), 0, 10).Draw(t, "events")
	_, err = s.journal.Append(t.Context(), events...)
	require.NoError(t, err)
	for page, err := range s.journal.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
		require.NoError(t, err)
		s.stored = append(s.stored, page.Events...)
	}
	return s
}

// want is what must be read of some stored events, and whether an error must end
// it. Limit counts stored events, as long as it is positive.
func (s *sample) want(stored []persistence.Recorded, limit int) (texts []string, fails bool) {
	for _, event := range stored {
		results, ok := today(s.rules, event.Type, string(event.Payload))
		if !ok {
			return texts, true
		}
		for i, text := range results {
			place := "0/0"
			if len(results) > 1 {
				place = fmt.Sprintf("%d/%d", i, len(results))
			}
			texts = append(texts, fmt.Sprintf("%s %s@%d", text, place, event.Position.Offset))
		}
		if len(results) > 0 {
			if limit--; limit == 0 {
				break
			}
		}
	}
	return texts, false
}

func (s *sample) require(stored []persistence.Recorded, limit int, got []persistence.Recorded, err error) {
	want, fails := s.want(stored, limit)
	texts := shown(got)
	for i := range texts {
		texts[i] += fmt.Sprintf("@%d", got[i].Position.Offset)
	}
	require.Equal(s.t, want, texts)
	if !fails {
		require.NoError(s.t, err)
		return
	}
	require.ErrorIs(s.t, err, persistence.ErrCorrupt)
}

func collect(events iter.Seq2[persistence.Recorded, error]) (all []persistence.Recorded, err error) {
	for recorded, err := range events {
		if err != nil {
			return all, err
		}
		all = append(all, recorded)
	}
	return all, nil
}

// TestReadsAgree holds every way to read a stream against the model.
func TestReadsAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t)
		var stream []persistence.Recorded
		for _, event := range s.stored {
			if event.Stream == "x-1" {
				stream = append(stream, event)
			}
		}
		if len(stream) == 0 {
			return
		}
		for from := range len(stream) + 2 {
			for limit := range len(stream) + 2 {
				s.readStream(stream, persistence.ReadOptions{From: persistence.Version(from), Limit: limit})
				s.readStream(stream, persistence.ReadOptions{From: persistence.Version(from), Limit: limit, Backward: true})
				s.readStream(stream, persistence.ReadOptions{From: persistence.Version(from), Limit: limit, Filter: except{"e"}})
			}
		}
	})
}

func (s *sample) readStream(stream []persistence.Recorded, options persistence.ReadOptions) {
	chosen := chosen(stream, options.Filter, options.Backward)
	chosen = slices.DeleteFunc(chosen, func(e persistence.Recorded) bool {
		return options.From > 0 && (options.Backward && e.Version > options.From || !options.Backward && e.Version < options.From)
	})

	got, err := collect(s.reader.Read(s.t.Context(), "x-1", options))
	s.require(chosen, options.Limit, got, err)
	count, err := s.reader.Count(s.t.Context(), "x-1", options)
	_, fails := s.want(chosen, options.Limit)
	if !fails {
		require.NoError(s.t, err)
		require.Equal(s.t, len(slices.CompactFunc(got, samePosition)), count)
	}
	if options.Limit == 0 || options.Backward || options.Filter != nil {
		return
	}
	pages, err := s.reader.(persistence.PageReader).ReadPages(s.t.Context(), []persistence.PageRequest{
		{Stream: "missing", Limit: 1}, {Stream: "x-1", From: options.From, Limit: options.Limit}, {Stream: "x-1"},
	})
	require.NoError(s.t, err)
	require.Empty(s.t, pages[0])
	require.ErrorIs(s.t, pages[2].Err, persistence.ErrInvalid)
	if fails {
		require.ErrorIs(s.t, pages[1].Err, persistence.ErrCorrupt)
		require.Empty(s.t, pages[1].Events)
		return
	}
	s.require(chosen, options.Limit, pages[1].Events, pages[1].Err)
}

func chosen(stored []persistence.Recorded, filter persistence.Filter, backward bool) []persistence.Recorded {
	chosen := slices.DeleteFunc(slices.Clone(stored), func(e persistence.Recorded) bool { return filter != nil && !filter.Match(&e) })
	if backward {
		slices.Reverse(chosen)
	}
	return chosen
}

// TestPagesAgree holds the global sequence against the model, whatever the size
// of its pages and wherever the reading begins again.
func TestPagesAgree(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := drawSample(t)
		for rows := 1; rows <= 5; rows++ {
			for _, backward := range []bool{false, true} {
				for _, filter := range []persistence.Filter{nil, except{"e"}} {
					options := persistence.ReadAllOptions{PageRows: rows, Backward: backward, Filter: filter}

					atOnce, err := s.pages(options, false)
					s.require(chosen(s.stored, filter, backward), 0, atOnce, err)
					onePage, err := s.pages(options, true)
					s.require(chosen(s.stored, filter, backward), 0, onePage, err)
				}
			}
		}
	})
}

// pages reads the global sequence, anew for each page or not.
func (s *sample) pages(options persistence.ReadAllOptions, onePage bool) (all []persistence.Recorded, err error) {
	for atHead := false; !atHead; {
		before := options.After
		for page, err := range s.reader.ReadAll(s.t.Context(), options) {
			if err != nil {
				return all, err
			}
			stored := slices.CompactFunc(slices.Clone(page.Events), samePosition)
			require.LessOrEqual(s.t, len(stored), options.PageRows)
			all, atHead, options.After = append(all, page.Events...), page.AtHead, page.Next
			if onePage {
				break
			}
			page.Next[0] = -1 // what a reader does with its page concerns nobody
			options.After = slices.Clone(before)
		}
	}
	return all, nil
}

func samePosition(a, b persistence.Recorded) bool { return a.Position == b.Position }

// except chooses the events that are not stored under one type.
type except struct{ eventType string }

func (e except) Match(recorded *persistence.Recorded) bool { return recorded.Type != e.eventType }
func (e except) Check() error                              { return nil }

func TestReader(t *testing.T) {
	t.Parallel()

	t.Run("a stream of which nothing is left is empty, not missing", func(t *testing.T) {
		t.Parallel()
		reader := upcast.Reader(opened3(t), chainOf(t, upcast.Drop("a")))

		events, err := collect(reader.Read(t.Context(), "x-1", persistence.ReadOptions{Limit: 2}))
		require.NoError(t, err)
		require.Empty(t, events)
		events, err = collect(reader.Read(t.Context(), "x-1", persistence.ReadOptions{Limit: 2, Backward: true}))
		require.NoError(t, err)
		require.Empty(t, events)
		count, err := reader.Count(t.Context(), "x-1", persistence.ReadOptions{})
		require.NoError(t, err)
		require.Zero(t, count)
		info, err := reader.Stream(t.Context(), "x-1")
		require.NoError(t, err)
		require.EqualValues(t, 3, info.Version)
	})
	t.Run("a stream that is missing is missing", func(t *testing.T) {
		t.Parallel()
		reader := upcast.Reader(opened3(t), chainOf(t, upcast.Drop("a")))

		_, err := collect(reader.Read(t.Context(), "x-2", persistence.ReadOptions{}))
		_, errCount := reader.Count(t.Context(), "x-2", persistence.ReadOptions{})

		require.ErrorIs(t, err, persistence.ErrStreamNotFound)
		require.ErrorIs(t, errCount, persistence.ErrStreamNotFound)
	})
	t.Run("counting reads only when events may be dropped", func(t *testing.T) {
		t.Parallel()
		journal := &counting{Journal: opened3(t)}
		keeps, drops := upcast.Reader(journal, chainOf(t, upcast.Rename("a", "b"))), upcast.Reader(journal, chainOf(t, upcast.Drop("b"), upcast.Rename("c", "d")))

		kept, err := keeps.Count(t.Context(), "x-1", persistence.ReadOptions{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, 2, kept)
		require.Zero(t, journal.reads)

		kept, err = drops.Count(t.Context(), "x-1", persistence.ReadOptions{Limit: 2})
		require.NoError(t, err)
		require.Equal(t, 2, kept)
		require.Equal(t, 1, journal.reads)
	})
	t.Run("nothing is read twice to keep a limit", func(t *testing.T) {
		t.Parallel()
		journal := &counting{Journal: opened3(t)}
		reader := upcast.Reader(journal, chainOf(t, upcast.Rename("a", "b")))

		events, err := collect(reader.Read(t.Context(), "x-1", persistence.ReadOptions{Limit: 3}))

		require.NoError(t, err)
		require.Len(t, events, 3)
		require.Equal(t, 1, journal.reads)
	})
	t.Run("who leaves early is not called again", func(t *testing.T) {
		t.Parallel()
		twice := upcast.Upcaster{From: "a", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{raw, raw}, nil }}
		reader := upcast.Reader(opened3(t), chainOf(t, twice))

		for recorded, err := range reader.Read(t.Context(), "x-1", persistence.ReadOptions{Limit: 2}) {
			require.NoError(t, err)
			require.Zero(t, recorded.Sub)
			break
		}
		for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 1}) {
			require.NoError(t, err)
			require.Len(t, page.Events, 2)
			break
		}
	})
	t.Run("an error behind a part of a page comes after the part", func(t *testing.T) {
		t.Parallel()
		journal := memory.New(memory.Config{})
		_, err := journal.Append(t.Context(), persistence.Append{Stream: "x-1", Events: []persistence.Event{{Type: "a"}, {Type: "a"}, {Type: "b"}, {Type: "a"}}})
		require.NoError(t, err)
		reader := upcast.Reader(journal, chainOf(t, rule{fails: true}.upcaster("b")))
		var pages []persistence.Page
		read := func(options persistence.ReadAllOptions) (err error) {
			pages = nil
			for page, failed := range reader.ReadAll(t.Context(), options) {
				if err = failed; err == nil {
					pages = append(pages, page)
				}
			}
			return err
		}

		require.ErrorContains(t, read(persistence.ReadAllOptions{}), "corrupt x-1 at version 3")
		require.Len(t, pages, 1)
		require.Len(t, pages[0].Events, 2)
		require.Equal(t, persistence.Positions{2}, pages[0].Next)
		require.False(t, pages[0].AtHead)

		require.ErrorIs(t, read(persistence.ReadAllOptions{After: pages[0].Next}), persistence.ErrCorrupt)
		require.Empty(t, pages)

		require.ErrorIs(t, read(persistence.ReadAllOptions{Backward: true}), persistence.ErrCorrupt)
		require.Len(t, pages, 1)
		require.Len(t, pages[0].Events, 1)
		require.Equal(t, persistence.Positions{4}, pages[0].Next)

		for range reader.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
			break // between the part and the error
		}
	})
	t.Run("every partition keeps its place before an error", func(t *testing.T) {
		t.Parallel()
		at := func(part uint16, offset int64, eventType string) persistence.Recorded {
			return persistence.Recorded{Event: persistence.Event{Type: eventType}, Position: persistence.Position{Part: part, Offset: offset}}
		}
		chain := chainOf(t, rule{fails: true}.upcaster("b"))
		forward := upcast.Reader(scripted{pages: []persistence.Page{
			{Events: []persistence.Recorded{at(0, 6, "a"), at(1, 8, "a")}, Next: persistence.Positions{6, 8, 2}},
			{Events: []persistence.Recorded{at(1, 9, "a"), at(0, 9, "b"), at(1, 10, "a")}, Next: persistence.Positions{9, 10, 3}},
		}}, chain)
		backward := upcast.Reader(scripted{pages: []persistence.Page{
			{Events: []persistence.Recorded{at(1, 9, "a"), at(0, 9, "b"), at(1, 8, "a")}, Next: persistence.Positions{9, 8, 3}},
		}}, chain)

		for _, c := range []struct {
			reader  persistence.Reader
			options persistence.ReadAllOptions
			want    []persistence.Positions
		}{
			{forward, persistence.ReadAllOptions{After: persistence.Positions{5, 7, 1}}, []persistence.Positions{{6, 8, 2}, {8, 9, 2}}},
			{backward, persistence.ReadAllOptions{Backward: true}, []persistence.Positions{{10, 9, math.MaxInt64}}},
			{backward, persistence.ReadAllOptions{Backward: true, After: persistence.Positions{20, 10, 4}}, []persistence.Positions{{10, 9, 4}}},
		} {
			var got []persistence.Positions
			for page, err := range c.reader.ReadAll(t.Context(), c.options) {
				if err != nil {
					require.ErrorIs(t, err, persistence.ErrCorrupt)
					break
				}
				got = append(got, slices.Clone(page.Next))
				clear(page.Next) // it is the reader's
			}
			require.Equal(t, c.want, got)
		}
	})
	t.Run("errors of the journal pass", func(t *testing.T) {
		t.Parallel()
		journal := opened3(t)
		reader := upcast.Reader(journal, chainOf(t, upcast.Drop("a")))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()

		_, err := collect(reader.Read(ctx, "x-1", persistence.ReadOptions{}))
		require.ErrorIs(t, err, persistence.ErrUnavailable)
		for _, err := range reader.ReadAll(ctx, persistence.ReadAllOptions{}) {
			require.ErrorIs(t, err, persistence.ErrUnavailable)
		}
		_, err = reader.(persistence.PageReader).ReadPages(ctx, []persistence.PageRequest{{Stream: "x-1", Limit: 1}})
		require.ErrorIs(t, err, persistence.ErrUnavailable)
	})
	t.Run("what is no event passes", func(t *testing.T) {
		t.Parallel()
		journal := opened3(t)
		reader := upcast.Reader(journal, chainOf(t, upcast.Drop("a")))

		head, err := reader.Head(t.Context())

		require.NoError(t, err)
		require.Equal(t, persistence.Positions{3}, head)
		require.NoError(t, reader.Wait(t.Context(), nil))
		require.Equal(t, journal.Identity(), reader.Identity())
	})
	t.Run("tombstones pass", func(t *testing.T) {
		t.Parallel()
		journal := opened3(t)
		_, err := journal.Delete(t.Context(), "x-1", persistence.Any)
		require.NoError(t, err)
		reader := upcast.Reader(journal, chainOf(t, upcast.Drop("a")))

		for page, err := range reader.ReadAll(t.Context(), persistence.ReadAllOptions{}) {
			require.NoError(t, err)
			require.Equal(t, []string{persistence.TypeDeleted + ": 0/0"}, shown(page.Events))
			require.Equal(t, persistence.Positions{4}, page.Next)
		}
	})
}

func TestReaderAbilities(t *testing.T) {
	t.Parallel()
	journal := opened3(t)
	chain := chainOf(t, upcast.Drop("b"))
	empty := chainOf(t)

	able, unable := upcast.Reader(journal, chain), upcast.Reader(half{journal}, chain)
	_, readsPages := able.(persistence.PageReader)
	require.True(t, readsPages)
	_, readsPages = unable.(persistence.PageReader)
	require.False(t, readsPages)
	_, readsPages = upcast.Reader(&inFront{journal}, chain).(persistence.PageReader)
	require.True(t, readsPages)

	require.Same(t, journal, upcast.Reader(journal, nil))
	require.Same(t, journal, upcast.Reader(journal, empty))
	for _, reader := range []persistence.Reader{able, unable} {
		stored, of := upcast.Split(reader)
		require.Same(t, chain, of)
		require.NotEqual(t, reader, stored)
	}
	stored, none := upcast.Split(journal)
	require.Same(t, journal, stored)
	require.Nil(t, none)
}

// scripted yields pages that no journal of one partition has.
type scripted struct {
	persistence.Reader
	pages []persistence.Page
}

func (s scripted) ReadAll(context.Context, persistence.ReadAllOptions) iter.Seq2[persistence.Page, error] {
	return func(yield func(persistence.Page, error) bool) {
		for _, page := range s.pages {
			page.Next = slices.Clone(page.Next)
			if !yield(page, nil) {
				return
			}
		}
	}
}

// half is a reader without abilities.
type half struct{ persistence.Reader }

// inFront shows the abilities of a journal without having them.
type inFront struct{ persistence.Journal }

func (f inFront) Unwrap() persistence.Journal { return f.Journal }

// counting counts how often a stream is read.
type counting struct {
	persistence.Journal
	reads int
}

func (c *counting) Read(ctx context.Context, stream persistence.StreamID, options persistence.ReadOptions) iter.Seq2[persistence.Recorded, error] {
	c.reads++
	return c.Journal.Read(ctx, stream, options)
}

// opened3 is a journal with a stream of three events of type a.
func opened3(t *testing.T) *memory.Journal {
	t.Helper()
	journal := memory.New(memory.Config{})
	_, err := journal.Append(t.Context(), persistence.Append{Stream: "x-1", Events: slices.Repeat([]persistence.Event{{Type: "a"}}, 3)})
	require.NoError(t, err)
	return journal
}

func chainOf(t *testing.T, upcasters ...upcast.Upcaster) *upcast.Chain {
	t.Helper()
	chain, err := upcast.New(upcasters...)
	require.NoError(t, err)
	return chain
}

// FuzzChain makes chains of any shape: each is refused, or ends.
func FuzzChain(f *testing.F) {
	f.Add("ab ba")
	f.Add("abc bd cd dd d")
	f.Add("aa aab bcc bcd cdd dee")
	f.Fuzz(func(t *testing.T, text string) {
		var upcasters []upcast.Upcaster
		for word := range strings.FieldsSeq(text) {
			from, to := word[:1], strings.Split(word[1:], "")
			upcasters = append(upcasters, rule{to: to}.upcaster(from))
		}
		chain, err := upcast.New(upcasters...)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			return
		}
		for _, u := range upcasters {
			today, err := chain.Upcast(nil, &persistence.Recorded{Event: persistence.Event{Type: u.From}})
			if err != nil {
				require.ErrorContains(t, err, "events come of one")
				continue
			}
			for _, event := range today {
				require.LessOrEqual(t, strings.Count(string(event.Payload), ">"), upcast.MaxSteps)
			}
		}
	})
}
