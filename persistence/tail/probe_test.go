package tail_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// taken is a checkpoint at the end of a journal, as a subscription takes it.
func taken(t *testing.T, journal persistence.Reader) tail.Checkpoint {
	t.Helper()
	subscription, err := tail.Open(t.Context(), journal, tail.Options{})
	require.NoError(t, err)
	head, err := journal.Head(t.Context())
	require.NoError(t, err)
	checkpoint, err := subscription.Checkpoint(t.Context(), head)
	require.NoError(t, err)
	return checkpoint
}

func TestProbe(t *testing.T) {
	t.Parallel()
	prepared := func() *parted {
		j := newParted(3)
		for part := range 2 {
			for i := range 4 {
				j.add(part, "a-1", fmt.Sprint("t", i))
			}
		}
		return j
	}
	cases := map[string]struct {
		then func(*parted)
		want string // in the error
		at   persistence.Position
	}{
		"nothing has happened":    {then: func(*parted) {}},
		"more has come":           {then: func(j *parted) { j.add(0, "a-1", "more"); j.add(2, "$s", "more") }},
		"the event was scavenged": {then: func(j *parted) { j.events[1][3].Type = persistence.TypeGone }},
		"the one after was":       {then: func(j *parted) { j.add(1, "a-1", persistence.TypeGone) }},
		"another journal":         {func(j *parted) { j.id[0]++ }, "the checkpoint is one of another journal", persistence.Position{Offset: 4}},
		"the tail was lost":       {func(j *parted) { j.events[1] = j.events[1][:3] }, "the journal ends at position 1:3", persistence.Position{Part: 1, Offset: 4}},
		"the tail was replaced":   {func(j *parted) { j.events[1][3].ID = persistence.NewEventID() }, "the journal has another event there", persistence.Position{Part: 1, Offset: 4}},
		"the first was replaced":  {func(j *parted) { j.events[0][3].ID = persistence.NewEventID() }, "the journal has another event there", persistence.Position{Offset: 4}},
		"another partition went on": {
			func(j *parted) {
				j.events[1][3].ID = persistence.NewEventID()
				j.add(0, "a-1", "more")
				j.add(0, "a-1", "more")
			},
			"the journal has another event there",
			persistence.Position{Part: 1, Offset: 4},
		},
		"a partition is away": {func(j *parted) { j.events = j.events[:1] }, "the journal ends at position 1:0", persistence.Position{Part: 1, Offset: 4}},
		"it was replaced and went on": {
			func(j *parted) {
				j.events[0] = j.events[0][:2]
				for range 5 {
					j.add(0, "a-1", "other")
				}
			},
			"the journal has another event there",
			persistence.Position{Offset: 4},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journal := prepared()
			checkpoint := taken(t, journal)
			require.Len(t, checkpoint.Marks, 2)
			c.then(journal)

			err := tail.Probe(t.Context(), journal, checkpoint)
			_, errOpen := tail.Open(t.Context(), journal, tail.Options{Checkpoint: checkpoint})
			_, errShared := tail.NewTailer(tail.Config{Reader: journal}).Open(t.Context(), tail.Options{Checkpoint: checkpoint})

			require.Equal(t, err, errOpen)
			require.Equal(t, err, errShared)
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, persistence.ErrLostTail)
			require.ErrorContains(t, err, c.want)
			lost, ok := errors.AsType[*persistence.LostTailError](err)
			require.True(t, ok)
			require.Equal(t, c.at, lost.Position)
		})
	}
}

// A checkpoint that was taken on a husk proves less, and still proves the journal.
func TestProbeWithoutEvent(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	journal.add(0, "a-1", persistence.TypeGone)
	checkpoint := taken(t, journal)

	require.Equal(t, []tail.Mark{{Position: persistence.Position{Offset: 1}}}, checkpoint.Marks)
	require.NoError(t, tail.Probe(t.Context(), journal, checkpoint))
	journal.events[0][0].Type = "seen"
	require.NoError(t, tail.Probe(t.Context(), journal, checkpoint))
	journal.events[0] = nil
	require.ErrorIs(t, tail.Probe(t.Context(), journal, checkpoint), persistence.ErrLostTail)
}

func TestProbeOfAnEmptyJournal(t *testing.T) {
	t.Parallel()
	journal := memory.New(memory.Config{})
	checkpoint := taken(t, journal)

	require.Equal(t, tail.Checkpoint{Journal: journal.Identity()}, checkpoint)
	require.NoError(t, tail.Probe(t.Context(), journal, checkpoint))
	require.ErrorIs(t, tail.Probe(t.Context(), memory.New(memory.Config{}), checkpoint), persistence.ErrLostTail)
}

// An event of the system's is an event as any other.
func TestProbeOfTheSystem(t *testing.T) {
	t.Parallel()
	journal := newParted(1)
	journal.add(0, "$s-1", "t")
	checkpoint := taken(t, journal)

	require.Equal(t, journal.events[0][0].ID, checkpoint.Marks[0].EventID)
	require.NoError(t, tail.Probe(t.Context(), journal, checkpoint))
	journal.events[0][0].ID[0]++
	require.ErrorIs(t, tail.Probe(t.Context(), journal, checkpoint), persistence.ErrLostTail)
}

// An event that upcasting drops is in the journal all the same.
func TestProbeBehindUpcasters(t *testing.T) {
	t.Parallel()
	chain, err := upcast.New(upcast.Drop("t"))
	require.NoError(t, err)
	journal := newParted(1)
	journal.add(0, "a-1", "t")
	checkpoint := taken(t, upcast.Reader(journal, chain))

	require.Equal(t, journal.events[0][0].ID, checkpoint.Marks[0].EventID)
	require.NoError(t, tail.Probe(t.Context(), upcast.Reader(journal, chain), checkpoint))
	journal.events[0][0].ID[0]++
	require.ErrorIs(t, tail.Probe(t.Context(), upcast.Reader(journal, chain), checkpoint), persistence.ErrLostTail)
}

func TestOpenBeyondTheEnd(t *testing.T) {
	t.Parallel()
	journal := memory.New(memory.Config{})
	store(t, journal, "a-1", "t", "t")

	_, err := tail.Open(t.Context(), journal, tail.Options{After: persistence.Positions{2}})
	require.NoError(t, err)
	_, err = tail.Open(t.Context(), journal, tail.Options{After: persistence.Positions{3}})
	require.ErrorIs(t, err, persistence.ErrLostTail)
	require.ErrorContains(t, err, "lost tail at position 3: the journal ends at position 2")
}

func TestOpenOfAJournalThatIsAway(t *testing.T) {
	t.Parallel()
	journal := memory.New(memory.Config{})
	store(t, journal, "a-1", "t")
	checkpoint := taken(t, journal)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()

	subscription, err := tail.Open(t.Context(), journal, tail.Options{})
	require.NoError(t, err)
	_, err = subscription.Checkpoint(ctx, persistence.Positions{1})
	require.ErrorIs(t, err, context.Canceled)

	require.NoError(t, journal.Close())
	_, err = tail.Open(t.Context(), journal, tail.Options{After: persistence.Positions{1}})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	_, err = tail.Open(t.Context(), journal, tail.Options{Checkpoint: checkpoint})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
	_, err = subscription.Checkpoint(t.Context(), persistence.Positions{1})
	require.ErrorIs(t, err, persistence.ErrUnavailable)
}
