package actors_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/schema"
)

// notelessJournal takes no notes while it is refusing, and counts appends.
type notelessJournal struct {
	*memory.Journal
	refusing atomic.Bool
	appends  atomic.Int64
	noted    atomic.Int64
}

func (j *notelessJournal) RegisterSchema(ctx context.Context, encoding persistence.Encoding, body []byte) (persistence.SchemaID, error) {
	if strings.Contains(string(body), "$stele.stored") {
		if j.refusing.Load() {
			return 0, errors.New("refusing")
		}
		j.noted.Add(1)
	}
	return j.Journal.RegisterSchema(ctx, encoding, body)
}

func (j *notelessJournal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	j.appends.Add(1)
	return j.Journal.Append(ctx, appends...)
}

// An event is stored only when the journal knows that there may be one of its type: a crash
// between the two leaves no event that a start is blind to.
func TestTypesAreNotedBeforeTheyAreStored(t *testing.T) {
	t.Parallel()
	journal := &notelessJournal{Journal: new(memory.Journal)}
	system := open(t, actors.Config{Journal: journal})
	journal.refusing.Store(true)

	_, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "x"})

	failed := failure(t, err)
	require.Equal(t, persistence.ErrUnavailable, failed.Kind)
	require.Equal(t, actors.ReasonJournal, failed.Reason)
	require.Zero(t, journal.appends.Load())

	journal.refusing.Store(false)
	seen, err := PutInto.Ask(t.Context(), system, "a", Put{Tag: "y"})
	require.NoError(t, err)
	require.Equal(t, []string{"y"}, seen.Tags, "what was not stored is not in the state")
	known, err := schema.ReadCatalogue(t.Context(), journal)
	require.NoError(t, err)
	require.NotEmpty(t, known.Stored())

	again, noted := open(t, actors.Config{Journal: journal}), journal.noted.Load()
	_, err = PutInto.Ask(t.Context(), again, "b", Put{Tag: "z"})
	require.NoError(t, err)
	require.Equal(t, noted, journal.noted.Load(), "the journal is not told twice")
}
