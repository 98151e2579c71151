package upcast_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

func TestUpcast(t *testing.T) {
	t.Parallel()
	mark := func(text string) upcast.Upcaster {
		return upcast.Upcaster{From: "a", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
			raw.Payload = append(slices.Clone(raw.Payload), text...)
			return []upcast.Raw{raw}, nil
		}}
	}
	split := func(from string, to ...string) upcast.Upcaster {
		return upcast.Upcaster{From: from, To: to, Upcast: func(raw upcast.Raw) (results []upcast.Raw, err error) {
			for i, eventType := range to {
				results = append(results, raw.As(eventType, fmt.Appendf(slices.Clone(raw.Payload), "%d", i)))
			}
			return results, nil
		}}
	}
	cases := map[string]struct {
		upcasters []upcast.Upcaster
		want      []string // type, payload, and place among several
	}{
		"nothing to do":                     {nil, []string{"a:p 0/0"}},
		"upcasters of another type":         {[]upcast.Upcaster{upcast.Drop("b")}, []string{"a:p 0/0"}},
		"another name":                      {[]upcast.Upcaster{upcast.Rename("a", "b")}, []string{"b:p 0/0"}},
		"a chain of names":                  {[]upcast.Upcaster{upcast.Rename("b", "c"), upcast.Rename("a", "b")}, []string{"c:p 0/0"}},
		"nothing":                           {[]upcast.Upcaster{upcast.Drop("a")}, nil},
		"nothing in the end":                {[]upcast.Upcaster{upcast.Rename("a", "b"), upcast.Drop("b")}, nil},
		"another form under the same name":  {[]upcast.Upcaster{mark("1")}, []string{"a:p1 0/0"}},
		"the order in which they are given": {[]upcast.Upcaster{mark("1"), mark("2"), upcast.Rename("a", "b")}, []string{"b:p12 0/0"}},
		"several":                           {[]upcast.Upcaster{split("a", "b", "c")}, []string{"b:p0 0/2", "c:p1 1/2"}},
		"several of the same type":          {[]upcast.Upcaster{split("a", "a", "a"), mark("x")}, []string{"a:p0x 0/2", "a:p1x 1/2"}},
		"several, each in its own way": {
			[]upcast.Upcaster{split("a", "b", "c", "d"), upcast.Rename("b", "e"), upcast.Drop("c"), split("d", "f", "g")},
			[]string{"e:p0 0/3", "f:p20 1/3", "g:p21 2/3"},
		},
		"several of which one is left": {[]upcast.Upcaster{split("a", "b", "c"), upcast.Drop("b")}, []string{"c:p1 0/0"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain, err := upcast.New(c.upcasters...)
			require.NoError(t, err)
			stored := storedEvent()
			before := storedEvent()

			today, err := chain.Upcast([]persistence.Recorded{before}, &stored)

			require.NoError(t, err)
			require.Equal(t, before, stored, "the stored event was changed")
			require.Equal(t, before, today[0], "what stood before was changed")
			require.Equal(t, c.want, shown(today[1:]))
			for _, event := range today[1:] {
				event.Type, event.Payload, event.Schema, event.Sub, event.SubCount = before.Type, before.Payload, before.Schema, 0, 0
				require.Equal(t, before, event)
			}
		})
	}
}

func TestNoChain(t *testing.T) {
	t.Parallel()
	var chain *upcast.Chain
	stored := storedEvent()

	today, err := chain.Upcast(nil, &stored)

	require.NoError(t, err)
	require.Equal(t, []persistence.Recorded{stored}, today)
	require.False(t, chain.Touches("a"))
}

func TestTouches(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Rename("a", "b"))
	require.NoError(t, err)

	require.True(t, chain.Touches("a"))
	require.False(t, chain.Touches("b"))
}

// An upcaster sees the event as it is stored, and what it says of schema and
// metadata holds.
func TestUpcasterSeesTheStoredForm(t *testing.T) {
	t.Parallel()
	var seen upcast.Raw
	chain, err := upcast.New(upcast.Upcaster{From: "a", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		seen = raw
		return []upcast.Raw{{Type: "a", Schema: 8, Metadata: persistence.Metadata{"k": persistence.Int(2)}}}, nil
	}})
	require.NoError(t, err)
	stored := storedEvent()

	today, err := chain.Upcast(nil, &stored)

	require.NoError(t, err)
	require.Equal(t, upcast.Raw{Type: "a", Schema: 7, Payload: []byte("p"), Metadata: persistence.Metadata{"k": persistence.Int(1)}}, seen)
	require.Equal(t, persistence.SchemaID(8), today[0].Schema)
	require.Equal(t, persistence.Metadata{"k": persistence.Int(2)}, today[0].Metadata)
	require.Empty(t, today[0].Payload)
}

// What no longer has the form that the schema describes has no schema.
func TestAnotherFormLosesTheSchema(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Rename("a", "b"))
	require.NoError(t, err)
	stored := storedEvent()

	today, err := chain.Upcast(nil, &stored)

	require.NoError(t, err)
	require.Zero(t, today[0].Schema)
}

// Each of several events is its reader's own.
func TestSeveralShareNothing(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Upcaster{From: "a", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return []upcast.Raw{raw, raw}, nil
	}})
	require.NoError(t, err)
	stored := storedEvent()
	today, err := chain.Upcast(nil, &stored)
	require.NoError(t, err)

	today[0].Payload[0], today[0].Headers[0], today[0].Tags[0] = 'x', 'x', "x"
	today[0].Metadata["k"] = persistence.Int(9)

	require.Equal(t, storedEvent(), stored)
	require.Equal(t, stored.Payload, today[1].Payload)
	require.Equal(t, stored.Headers, today[1].Headers)
	require.Equal(t, stored.Tags, today[1].Tags)
	require.Equal(t, stored.Metadata, today[1].Metadata)
}

func TestUpcastingFails(t *testing.T) {
	t.Parallel()
	errFailed := errors.New("no such coin")
	yields := func(raw ...upcast.Raw) func(upcast.Raw) ([]upcast.Raw, error) {
		return func(upcast.Raw) ([]upcast.Raw, error) { return raw, nil }
	}
	cases := map[string]struct {
		upcasters []upcast.Upcaster
		want      string
		cause     error
	}{
		"with an error": {
			[]upcast.Upcaster{{From: "a", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{{Type: "a"}}, errFailed }}},
			"upcasting failed from a: no such coin", errFailed,
		},
		"with a panic": {
			[]upcast.Upcaster{{From: "a", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { panic("secret") }}},
			"upcasting failed from a: the upcaster panicked with a string", nil,
		},
		"with the end of its goroutine": {
			[]upcast.Upcaster{{From: "a", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { runtime.Goexit(); return nil, nil }}},
			"upcasting failed from a: the upcaster ended its goroutine with runtime.Goexit, as require and mocks do when a test fails", nil,
		},
		"in the second step": {
			[]upcast.Upcaster{upcast.Rename("a", "b"), {From: "b", Upcast: func(upcast.Raw) ([]upcast.Raw, error) { return nil, errFailed }}},
			"upcasting failed from b: no such coin", errFailed,
		},
		"with a type that was not declared": {
			[]upcast.Upcaster{{From: "a", To: []string{"b"}, Upcast: yields(upcast.Raw{Type: "b"}, upcast.Raw{Type: "a"})}},
			`upcasting failed from a: the upcaster yields type "a", which it does not declare`, nil,
		},
		"with too many": {
			[]upcast.Upcaster{{From: "a", Upcast: yields(slices.Repeat([]upcast.Raw{{Type: "a"}}, upcast.MaxResults+1)...)}},
			"upcasting failed from a: more than 1000 events come of one", nil,
		},
		"with too many on the way": {
			[]upcast.Upcaster{
				{From: "a", Upcast: yields(slices.Repeat([]upcast.Raw{{Type: "a"}}, 600)...)},
				{From: "a", To: []string{"b"}, Upcast: yields(upcast.Raw{Type: "b"})},
				upcast.Drop("b"),
			},
			"upcasting failed from a: more than 1000 events come of one", nil,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chain, err := upcast.New(c.upcasters...)
			require.NoError(t, err)
			stored := storedEvent()

			today, err := chain.Upcast([]persistence.Recorded{stored}, &stored)

			require.Len(t, today, 1, "a part of the event came back")
			require.ErrorIs(t, err, persistence.ErrCorrupt)
			corrupt, ok := errors.AsType[*persistence.CorruptError](err)
			require.True(t, ok)
			require.Equal(t, persistence.StreamID("account-ann"), corrupt.Stream)
			require.Equal(t, persistence.Version(3), corrupt.Version)
			require.EqualError(t, err, "corrupt account-ann at version 3: "+c.want)
			if c.cause != nil {
				require.ErrorIs(t, err, c.cause)
			}
		})
	}
}

// As many events as can come of one stored event are still numbered apart.
func TestManyResults(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Upcaster{From: "a", Upcast: func(raw upcast.Raw) ([]upcast.Raw, error) {
		return slices.Repeat([]upcast.Raw{raw}, upcast.MaxResults), nil
	}})
	require.NoError(t, err)
	stored := storedEvent()

	today, err := chain.Upcast(nil, &stored)

	require.NoError(t, err)
	require.Len(t, today, upcast.MaxResults)
	for i, event := range today {
		require.EqualValues(t, i, event.Sub)
		require.EqualValues(t, upcast.MaxResults, event.SubCount)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	same := func(raw upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{raw}, nil }
	names := func(n int) (upcasters []upcast.Upcaster) {
		for i := range n {
			upcasters = append(upcasters, upcast.Rename(fmt.Sprintf("t%02d", i), fmt.Sprintf("t%02d", i+1)))
		}
		return upcasters
	}
	cases := map[string]struct {
		upcasters []upcast.Upcaster
		want      []string // in the errors; none is a chain that is fine
	}{
		"no upcaster": {nil, nil},
		"no function": {[]upcast.Upcaster{{From: "a"}}, []string{"upcaster of a has no function"}},
		"no type":     {[]upcast.Upcaster{{Upcast: same}}, []string{"upcaster of  names what cannot be an event's type"}},
		"a type that no event has": {
			[]upcast.Upcaster{upcast.Rename("a", "b\n"), upcast.Drop(strings.Repeat("x", 256))},
			[]string{"upcaster of a names what", "upcaster of xxx"},
		},
		"a type of the system": {
			[]upcast.Upcaster{upcast.Drop("$deleted"), upcast.Rename("a", "$b")},
			[]string{`upcaster of $deleted touches a type that begins with "$"`, `upcaster of a touches`},
		},
		"a circle of one":      {[]upcast.Upcaster{upcast.Rename("a", "a")}, nil},
		"a circle of two":      {[]upcast.Upcaster{upcast.Rename("a", "b"), upcast.Rename("b", "a")}, []string{`upcaster of a never ends: ["a" "b" "a"]`}},
		"a circle behind":      {[]upcast.Upcaster{upcast.Rename("a", "b"), upcast.Rename("b", "c"), upcast.Rename("c", "b")}, []string{`never ends: ["b" "c" "b"]`}},
		"a circle on one side": {[]upcast.Upcaster{{From: "a", To: []string{"c", "b"}, Upcast: same}, {From: "b", To: []string{"b", "a"}, Upcast: same}}, []string{`["a" "b" "a"]`}},
		"no circle but two ways": {
			[]upcast.Upcaster{{From: "a", To: []string{"b", "c"}, Upcast: same}, upcast.Rename("b", "d"), upcast.Rename("c", "d"), upcast.Drop("d")}, nil,
		},
		"one behind that is never reached": {
			[]upcast.Upcaster{upcast.Rename("a", "b"), {From: "a", Upcast: same}},
			[]string{"upcaster of a leaves nothing to the 1 behind it"},
		},
		"one behind a drop":                        {[]upcast.Upcaster{upcast.Drop("a"), upcast.Rename("a", "b")}, []string{"upcaster of a leaves nothing to the 1 behind it"}},
		"one behind that may be":                   {[]upcast.Upcaster{{From: "a", To: []string{"a", "b"}, Upcast: same}, upcast.Rename("a", "b")}, nil},
		"as many steps as may be":                  {names(upcast.MaxSteps), nil},
		"one step too many":                        {names(upcast.MaxSteps + 1), []string{"upcaster of t00 takes too many steps: 33, at most 32"}},
		"too many of one type":                     {slices.Repeat([]upcast.Upcaster{{From: "a", Upcast: same}}, upcast.MaxSteps+1), []string{"upcaster of a takes too many steps: 33"}},
		"as many steps as may be of several kinds": {append(names(upcast.MaxSteps-2), slices.Repeat([]upcast.Upcaster{{From: "t30", Upcast: same}}, 2)...), nil},
		"too many along one way": {
			append([]upcast.Upcaster{{From: "a", To: []string{"z", "t00"}, Upcast: same}}, names(upcast.MaxSteps)...),
			[]string{"upcaster of a takes too many steps: 33"},
		},
		"too many behind others of the type": {
			append([]upcast.Upcaster{{From: "a", Upcast: same}, {From: "a", Upcast: same}, upcast.Rename("a", "t00")}, names(upcast.MaxSteps-2)...),
			[]string{"upcaster of a takes too many steps: 33"},
		},
		"everything at once": {
			[]upcast.Upcaster{{From: "x"}, upcast.Drop("$y"), upcast.Rename("a", "b"), upcast.Rename("b", "a")},
			[]string{"upcaster of x has no function", "upcaster of $y touches", "upcaster of a never ends"},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			chain, err := upcast.New(c.upcasters...)

			if len(c.want) == 0 {
				require.NoError(t, err)
				require.NotNil(t, chain)
				return
			}
			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.Nil(t, chain)
			require.Len(t, strings.Split(err.Error(), "\n"), len(c.want), err.Error())
			for _, want := range c.want {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func storedEvent() persistence.Recorded {
	return persistence.Recorded{
		Event: persistence.Event{
			ID: persistence.EventID{1}, Type: "a", Schema: 7, Payload: []byte("p"), Headers: []byte("h"),
			Metadata: persistence.Metadata{"k": persistence.Int(1)}, Tags: []string{"red"},
		},
		Stream: "account-ann", Version: 3, Position: persistence.Position{Offset: 12}, At: time.UnixMicro(5),
	}
}

func shown(events []persistence.Recorded) (texts []string) {
	for _, e := range events {
		texts = append(texts, fmt.Sprintf("%s:%s %d/%d", e.Type, e.Payload, e.Sub, e.SubCount))
	}
	return texts
}

func TestEnds(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(
		upcast.Rename("a", "b"), upcast.Rename("b", "c"), upcast.Drop("d"), upcast.Rename("self", "self"),
		upcast.Upcaster{From: "e", To: []string{"a", "d", "e"}, Upcast: keep}, upcast.Upcaster{From: "e", To: []string{"f"}, Upcast: keep},
		upcast.Upcaster{From: "g", Upcast: keep}, upcast.Rename("h", "g"),
	)
	require.NoError(t, err)
	for from, c := range map[string]struct {
		ends    []string
		renamed string
	}{
		"a": {[]string{"c"}, "c"}, "b": {[]string{"c"}, "c"}, "c": {[]string{"c"}, "c"}, "d": {nil, ""},
		"e": {[]string{"c", "f"}, ""}, "g": {[]string{"g"}, ""}, "h": {[]string{"g"}, ""},
		"self": {[]string{"self"}, "self"}, "other": {[]string{"other"}, "other"},
	} {
		require.Equal(t, c.ends, chain.Ends(from), from)
		renamed, asStored := chain.Renamed(from)
		require.Equal(t, c.renamed != "", asStored, from)
		require.Equal(t, c.renamed, renamed, from)
	}
	require.Equal(t, []string{"a"}, (*upcast.Chain)(nil).Ends("a"))
}

func keep(raw upcast.Raw) ([]upcast.Raw, error) { return []upcast.Raw{raw}, nil }
