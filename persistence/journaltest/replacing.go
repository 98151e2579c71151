package journaltest

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// replacing are the cases of journals whose store the suite can replace.
var replacing = cases{
	"nothing is stored in another journal that has replaced this one": replaceStore,
}

// replaceStore puts another journal, which counts from the beginning again, in the place of
// an open one. The open journal must store nothing there, whatever it remembers of its own
// store.
func replaceStore(t *testing.T, s suite) {
	open := s.Store(t)
	j := s.bind(t, open(t))
	for _, stream := range []persistence.StreamID{"plain-0", "plain-1", "new-1"} {
		j.grow(stream, 2)
	}

	s.Replace(t, j.Journal)
	fails := func(stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) error {
		outcomes, err := j.Append(j.ctx, to(stream, expected, events...))
		if err == nil {
			err = outcomes[0].Err
		}
		return err
	}

	for range 3 { // the journal must not forget this
		for name, err := range map[string]error{
			"an append":                   fails("plain-0", persistence.Exact(2), note("lost")),
			"an append to a new stream":   fails("later-1", persistence.NoStream, note("lost")),
			"an append that names its id": fails("plain-1", persistence.Any, named(note("lost"))...),
			"an append without events":    fails("plain-1", persistence.Any),
			"a stream that is created":    j.Create(j.ctx, "made-1", nil),
		} {
			require.ErrorIs(t, err, persistence.ErrReplaced, name)
		}
		if has[persistence.Transactor](j.Journal) {
			require.ErrorIs(t, transact(j, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(to("plain-0", persistence.Any, note("lost")))
				return err
			}), persistence.ErrReplaced)
		}
	}
	identity := j.Identity()
	require.NoError(t, j.Close())
	again := s.use(t, open(t))
	require.NotEqual(t, identity, again.Identity())
	require.Empty(t, again.all(), "nothing was stored in the other journal")
	again.store("plain-0", persistence.NoStream, note("first"))
	require.Equal(t, []string{"first"}, textsOf(again.events("plain-0")))
}
