package actors_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence/memory"
)

type (
	nameless struct{ N int }
	misnamed struct{ N int }
	// namesake claims the name of another message.
	namesake struct{ N int }
)

func (misnamed) MessageName() string { return "$mine" }
func (namesake) MessageName() string { return Put{}.MessageName() }

// Every mistake of a definition is told when the system opens, all of them at
// once, each with what to do about it.
func TestMistakes(t *testing.T) {
	t.Parallel()
	var (
		elsewhere = actors.NewCommand[Put, Seen]("elsewhere")
		pointer   = actors.NewCommand[*Put, Seen]("list")
		sameName  = actors.NewCommand[namesake, Seen]("list")
		noName    = actors.NewCommand[nameless, Seen]("list")
		badReply  = actors.NewCommand[Get, nameless]("list")
		noStruct  = actors.NewCommand[string, Seen]("list")
		reserved  = actors.NewCommand[misnamed, Seen]("list")

		noDefinition *actors.Aggregate[list]
		noHandler    func(*list, *actors.Tx, Put) (Seen, error)
		noApplier    func(*list, Kept)
		config       = func(d ...actors.Definition) actors.Config {
			return actors.Config{Journal: new(memory.Journal), Aggregates: d}
		}
		with = func(parts ...actors.Part[list]) actors.Config { return config(lists(parts...)) }
		kind = func(kind string) actors.Config {
			return config(actors.Define(kind, actors.Handle(actors.NewCommand[Put, Seen](kind), (*list).put)))
		}
		bound         = func(change func(*actors.Config)) actors.Config { c := config(lists()); change(&c); return c }
		putPointer    = func(*list, *actors.Tx, *Put) (Seen, error) { return Seen{}, nil }
		putNamesake   = func(*list, *actors.Tx, namesake) (Seen, error) { return Seen{}, nil }
		putNameless   = func(*list, *actors.Tx, nameless) (Seen, error) { return Seen{}, nil }
		getNameless   = func(*list, *actors.Tx, Get) (nameless, error) { return nameless{}, nil }
		putString     = func(*list, *actors.Tx, string) (Seen, error) { return Seen{}, nil }
		putMisnamed   = func(*list, *actors.Tx, misnamed) (Seen, error) { return Seen{}, nil }
		applyNameless = func(*list, nameless) {}
		applyNumber   = func(*list, int) {}
	)
	for name, c := range map[string]struct {
		config actors.Config
		says   []string
	}{
		"no journal":           {actors.Config{Aggregates: []actors.Definition{lists()}}, []string{"no journal: set Config.Journal"}},
		"no aggregates":        {config(), []string{"no aggregates: list the definitions in Config.Aggregates"}},
		"nil definition":       {config(nil), []string{"nil definition", "take what Define returns"}},
		"typed nil definition": {config(noDefinition), []string{"nil definition"}},
		"kind twice":           {config(lists(), lists()), []string{`kind "list" is listed twice in Config.Aggregates: remove one`}},
		"empty kind":           {kind(""), []string{"kind must match [a-z][a-z0-9_.]{0,63}"}},
		"kind with a dash":     {kind("my-list"), []string{"aggregate my-list: invalid: kind must match"}},
		"kind with a verb":     {kind("%d"), []string{"aggregate %d: invalid: kind must match"}},
		"kind of the system":   {kind("$all"), []string{"kind must match"}},
		"long kind":            {kind(strings.Repeat("k", 65)), []string{"kind must match"}},
		"no handler":           {config(actors.Define[list]("list", actors.On((*list).kept))), []string{"aggregate list handles no command: add a Handle"}},
		"nil part":             {with(nil), []string{"part 4 is nil: remove it"}},
		"nil handler":          {config(actors.Define("list", actors.Handle(PutInto, noHandler))), []string{"command test.put has a nil handler"}},
		"nil applier":          {config(actors.Define("list", actors.Handle(PutInto, (*list).put), actors.On(noApplier))), []string{"event test.kept has a nil applier"}},
		"contract of another":  {with(actors.Handle(elsewhere, (*list).put)), []string{`command test.put belongs to kind "elsewhere": make its contract with NewCommand("list")`}},
		"command twice":        {with(actors.Handle(PutInto, (*list).put)), []string{"command test.put is handled twice: remove one Handle"}},
		"command in two forms": {with(actors.Handle(pointer, putPointer)), []string{"command test.put is handled twice"}},
		"two of one name":      {with(actors.Handle(sameName, putNamesake)), []string{"command test.put is handled twice"}},
		"event twice":          {with(actors.On((*list).kept)), []string{"event test.kept is applied twice: remove one On"}},
		"event in two forms":   {with(actors.On(func(*list, *Kept) {})), []string{"event test.kept is applied twice"}},
		"command without name": {with(actors.Handle(noName, putNameless)), []string{"actors_test.nameless has no stored name: add `func (nameless) MessageName() string`"}},
		"reply without name":   {config(actors.Define("list", actors.Handle(badReply, getNameless))), []string{"reply to test.get", "add `func (nameless) MessageName() string`"}},
		"event without name":   {with(actors.On(applyNameless)), []string{"event actors_test.nameless", "add `func (nameless) MessageName() string`"}},
		"no struct":            {with(actors.Handle(noStruct, putString)), []string{"command string", "neither a protobuf message nor a struct"}},
		"event no struct":      {with(actors.On(applyNumber)), []string{"event int", "neither a protobuf message nor a struct"}},
		"name of the system":   {with(actors.Handle(reserved, putMisnamed)), []string{`begins with "$"`}},
		"idle not positive":    {with(actors.Idle[list](0)), []string{"idle time 0s is not positive"}},
		"negative AskTimeout":  {bound(func(c *actors.Config) { c.AskTimeout = -1 }), []string{"negative Config.AskTimeout: 0 is the default"}},
		"negative Mailbox":     {bound(func(c *actors.Config) { c.Mailbox = -1 }), []string{"negative Config.Mailbox"}},
		"negative MaxInFlight": {bound(func(c *actors.Config) { c.MaxInFlight = -1 }), []string{"negative Config.MaxInFlight"}},
		"negative MaxBytes":    {bound(func(c *actors.Config) { c.MaxInFlightBytes = -1 }), []string{"negative Config.MaxInFlightBytes"}},
		"negative MaxActive":   {bound(func(c *actors.Config) { c.MaxActive = -1 }), []string{"negative Config.MaxActive"}},
		"negative Idle":        {bound(func(c *actors.Config) { c.Idle = -time.Second }), []string{"negative Config.Idle"}},
		"negative Recoveries":  {bound(func(c *actors.Config) { c.Recoveries = -1 }), []string{"negative Config.Recoveries"}},
		"everything at once": {
			actors.Config{Mailbox: -1, Aggregates: []actors.Definition{
				nil, actors.Define[list]("Bad Kind"), lists(actors.Handle(PutInto, (*list).put), actors.On((*list).kept)), lists(),
			}},
			[]string{
				"no journal", "nil definition", "aggregate Bad Kind: invalid: kind", "aggregate Bad Kind handles no command",
				"test.put is handled twice", "test.kept is applied twice", `kind "list" is listed twice`, "negative Config.Mailbox",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			system, err := actors.Open(t.Context(), c.config)

			require.Error(t, err)
			require.Nil(t, system)
			for _, want := range c.says {
				require.ErrorContains(t, err, want)
			}
		})
	}
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	require.NoError(t, actors.Check(actors.Config{Journal: new(memory.Journal), Aggregates: []actors.Definition{lists(), Accounts}}))
	require.Equal(t, "list", lists().Kind())
}
