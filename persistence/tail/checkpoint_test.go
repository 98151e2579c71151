package tail_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

const (
	journalText = "01020304-0000-0000-0000-000000000000"
	eventText   = "0198f3a1-6c1e-7c42-9d7a-3f1f5b6a7c10"
	noneText    = "00000000-0000-0000-0000-000000000000"
)

func checkpointOf(t *testing.T, marks ...tail.Mark) tail.Checkpoint {
	t.Helper()
	journal, err := persistence.ParseEventID(journalText)
	require.NoError(t, err)
	return tail.Checkpoint{Journal: persistence.JournalID(journal), Marks: marks}
}

func mark(t *testing.T, part uint16, offset int64, id string) tail.Mark {
	t.Helper()
	event, err := persistence.ParseEventID(id)
	require.NoError(t, err)
	return tail.Mark{Position: persistence.Position{Part: part, Offset: offset}, EventID: event}
}

func TestCheckpointText(t *testing.T) {
	t.Parallel()
	cases := map[string]tail.Checkpoint{
		"v1:" + journalText + ":":                 checkpointOf(t),
		"v1:" + journalText + ":0=7@" + eventText: checkpointOf(t, mark(t, 0, 7, eventText)),
		"v1:" + journalText + ":0=1@" + noneText + ",65535=9223372036854775807@" + eventText: checkpointOf(t,
			mark(t, 0, 1, noneText), mark(t, math.MaxUint16, math.MaxInt64, eventText)),
	}
	for text, checkpoint := range cases {
		require.Equal(t, text, checkpoint.String())

		parsed, err := tail.ParseCheckpoint(text)

		require.NoError(t, err)
		require.Equal(t, checkpoint, parsed)
	}
}

func TestParseCheckpoint(t *testing.T) {
	t.Parallel()
	cases := map[string]struct{ text, want string }{
		"nothing":                {"", "is of a form"},
		"the zero checkpoint":    {tail.Checkpoint{}.String(), "is not written as"},
		"another version":        {"v2:" + journalText + ":", "is of a form"},
		"a plain position":       {"42", "is of a form"},
		"no journal":             {"v1::", "names no journal"},
		"no end of the journal":  {"v1:" + journalText, "names no journal"},
		"a strange journal":      {"v1:01020304:", "names no journal"},
		"no mark behind a comma": {"v1:" + journalText + ":0=7@" + eventText + ",", "has a place"},
		"no partition":           {"v1:" + journalText + ":=7@" + eventText, "has a place"},
		"too large a partition":  {"v1:" + journalText + ":65536=7@" + eventText, "has a place"},
		"no offset":              {"v1:" + journalText + ":0=@" + eventText, "has a place"},
		"the beginning":          {"v1:" + journalText + ":0=0@" + eventText, "has a place"},
		"before the beginning":   {"v1:" + journalText + ":0=-1@" + eventText, "has a place"},
		"too large an offset":    {"v1:" + journalText + ":0=9223372036854775808@" + eventText, "has a place"},
		"no event":               {"v1:" + journalText + ":0=7", "has a place"},
		"a strange event":        {"v1:" + journalText + ":0=7@x", "has a place"},
		"something behind":       {"v1:" + journalText + ":0=7@" + eventText + " ", "has a place"},
		"a leading zero":         {"v1:" + journalText + ":0=07@" + eventText, "is not written as"},
		"a sign":                 {"v1:" + journalText + ":0=+7@" + eventText, "is not written as"},
		"capital letters":        {"v1:" + journalText + ":0=7@0198F3A1-6c1e-7c42-9d7a-3f1f5b6a7c10", "is not written as"},
		"a partition twice":      {"v1:" + journalText + ":0=7@" + eventText + ",0=8@" + eventText, "is not written as"},
		"another order":          {"v1:" + journalText + ":1=7@" + eventText + ",0=8@" + eventText, "is not written as"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			parsed, err := tail.ParseCheckpoint(c.text)

			require.ErrorIs(t, err, persistence.ErrInvalid)
			require.ErrorContains(t, err, "checkpoint "+c.want)
			require.Equal(t, tail.Checkpoint{}, parsed)
		})
	}
}

func TestCheckpointPositions(t *testing.T) {
	t.Parallel()

	require.Nil(t, checkpointOf(t).Positions())
	require.Equal(t, persistence.Positions{0, 7, 0, 2}, checkpointOf(t, mark(t, 1, 7, eventText), mark(t, 3, 2, eventText)).Positions())
}

func TestCheckpointWith(t *testing.T) {
	t.Parallel()
	before := checkpointOf(t, mark(t, 0, 7, eventText), mark(t, 2, 4, eventText))
	at := func(part uint16, offset int64) *persistence.Recorded {
		return &persistence.Recorded{Event: persistence.Event{ID: persistence.EventID{9}}, Position: persistence.Position{Part: part, Offset: offset}}
	}
	nine := persistence.EventID{9}.String()

	require.Equal(t, checkpointOf(t, mark(t, 0, 8, nine), mark(t, 2, 4, eventText)), before.With(at(0, 8)))
	require.Equal(t, checkpointOf(t, mark(t, 0, 7, eventText), mark(t, 1, 1, nine), mark(t, 2, 4, eventText)), before.With(at(1, 1)))
	require.Equal(t, checkpointOf(t, mark(t, 0, 7, eventText), mark(t, 2, 4, eventText), mark(t, 5, 3, nine)), before.With(at(5, 3)))
	require.Equal(t, checkpointOf(t, mark(t, 0, 7, eventText), mark(t, 2, 4, eventText)), before, "the one before was changed")
}

func FuzzParseCheckpoint(f *testing.F) {
	f.Add("v1:" + journalText + ":")
	f.Add("v1:" + journalText + ":0=7@" + eventText + ",1=8@" + noneText)
	f.Add("v1:" + journalText + ":0=07@" + eventText)
	f.Fuzz(func(t *testing.T, text string) {
		checkpoint, err := tail.ParseCheckpoint(text)
		if err != nil {
			require.ErrorIs(t, err, persistence.ErrInvalid)
			return
		}
		require.Equal(t, text, checkpoint.String())
		for _, mark := range checkpoint.Marks {
			require.Equal(t, mark.Position, checkpoint.Positions().Of(mark.Position.Part))
		}
	})
}
