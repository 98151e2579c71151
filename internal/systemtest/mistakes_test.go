package systemtest

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// What a newcomer leaves out or spells in another way is named, with what to do, once.
func TestMistakesOfNewcomers(t *testing.T) {
	t.Parallel()
	journal := new(memory.Journal)
	contract := actors.NewCommand[visit, visited]("visits")
	handle := actors.Handle(contract, func(_ *visits, _ *actors.Tx, c visit) (visited, error) { return visited{Page: c.Page}, nil })
	for name, c := range map[string]struct {
		config stele.Config
		says   []string
	}{
		"nothing":       {stele.Config{}, []string{"no journal: set Config.Journal", "no aggregates: list the definitions in Config.Aggregates"}},
		"no aggregates": {stele.Config{Journal: journal}, []string{"no aggregates: list the definitions in Config.Aggregates"}},
		"nil definitions": {
			stele.Config{Journal: journal, Aggregates: stele.Aggregates{nil}, Projections: stele.Projections{nil}},
			[]string{"a nil definition stands in Config.Aggregates: take what Define returns", "a nil projection stands in Config.Projections: take what Into returns"},
		},
		"a nil definition": {stele.Config{Journal: journal, Aggregates: stele.Aggregates{nil}}, []string{"take what Define returns"}},
		"no Checkpoints":   {stele.Config{Journal: journal, Aggregates: stele.Aggregates{echoes}}, []string{"set Config.Checkpoints"}},
		"another kind": {
			stele.Config{Journal: journal, Aggregates: stele.Aggregates{actors.Define("visit", handle)}},
			[]string{`belongs to kind "visits": make its contract with NewCommand("visit")`},
		},
		"one kind twice":    {stele.Config{Journal: journal, Aggregates: stele.Aggregates{allVisits, allVisits}}, []string{`kind "visits" is listed twice in Config.Aggregates: remove one`}},
		"nothing to handle": {stele.Config{Journal: journal, Aggregates: stele.Aggregates{actors.Define[visits]("visits")}}, []string{"add a Handle"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, err := stele.Start(t.Context(), c.config)
			require.Nil(t, node)
			require.Equal(t, persistence.ErrInvalid, persistence.ErrorKindOf(err))
			for _, says := range c.says {
				require.Equal(t, 1, strings.Count(err.Error(), says), "%q in %s", says, err)
			}
		})
	}
}
