package journaltest

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

var backward = cases{
	"the global sequence is read backward in pages of any size": backwardPages,
	"a backward reader begins before the given place":           backwardFrom,
	"a backward reader ends at the beginning":                   backwardEnds,
	"a backward page is limited by its bytes":                   backwardBytes,
	"a backward reader skips hidden streams":                    backwardHidden,
	"a backward reader is not disturbed by appends":             backwardSteady,
}

func backwardPages(t *testing.T, s suite) {
	j := s.open(t)
	for i := range 37 {
		j.store(persistence.StreamID(fmt.Sprintf("pages-%d", i%5)), persistence.Any, note(fmt.Sprint(i)))
	}
	all := plain(j.all())
	slices.Reverse(all)

	for _, rows := range []int{0, 1, 2, 10, 36, 37, 38, 1000, math.MaxInt} {
		for _, system := range []bool{false, true} {
			require.Equal(t, all, plain(j.follow(persistence.ReadAllOptions{Backward: true, PageRows: rows, System: system})), "%d rows", rows)
		}
	}
	for i := range all {
		after := persistence.Positions{}.With(all[i].Position)
		require.Equal(t, all[i+1:], plain(j.follow(persistence.ReadAllOptions{Backward: true, PageRows: 7, After: after})), "before %d", i)
	}
}

func backwardFrom(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("from-1", 5)
	all := plain(j.all())
	slices.Reverse(all)

	for _, after := range []persistence.Positions{nil, {}, {6}, {1000}, {math.MaxInt64}} {
		require.Equal(t, all, plain(j.follow(persistence.ReadAllOptions{Backward: true, After: after, PageRows: 2})), "before %v", after)
	}
	require.Equal(t, all[1:], plain(j.follow(persistence.ReadAllOptions{Backward: true, After: j.head()})), "a backward reader at the head has seen the event there")
	given := persistence.Positions{4}
	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Backward: true, After: given, PageRows: 2}) {
		require.NoError(t, err)
		for part := range page.Next {
			page.Next[part] = math.MaxInt64
		}
	}
	require.Equal(t, persistence.Positions{4}, given, "the journal does not change the caller's place")
	for _, options := range []persistence.ReadAllOptions{{PageRows: -1}, {PageBytes: -1}, {After: persistence.Positions{-1}}} {
		options.Backward = true
		for _, err := range j.ReadAll(j.ctx, options) {
			require.ErrorIs(t, err, persistence.ErrInvalid)
		}
	}
}

// backwardEnds continues at the last place, which must not mean the head again.
func backwardEnds(t *testing.T, s suite) {
	for _, count := range []int{0, 1, 3} {
		j := s.open(t)
		j.grow("end-1", count)
		var last persistence.Page
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Backward: true, PageRows: 1}) {
			require.NoError(t, err)
			last = page
		}
		require.True(t, last.AtHead)
		for _, after := range []persistence.Positions{last.Next, {0}} {
			require.Empty(t, j.follow(persistence.ReadAllOptions{Backward: true, After: after}))
		}
		j.grow("end-1", 2)
		require.Empty(t, j.follow(persistence.ReadAllOptions{Backward: true, After: last.Next}), "a backward reader at the beginning does not get events that are stored later")
	}
}

func backwardBytes(t *testing.T, s suite) {
	j := s.open(t)
	sizes := []int{10, 0, 900, 900, 3000, 1, 1, 5000, 5000, 100, 100, 0, 2400}
	for i, size := range sizes {
		j.store("sized-1", persistence.Any, persistence.Event{Type: "sized", Payload: bytes.Repeat([]byte{byte(i)}, size)})
	}
	all := plain(j.all())
	slices.Reverse(all)

	for _, limit := range []int{1, 1000, 2500, 6000, math.MaxInt} {
		options := persistence.ReadAllOptions{Backward: true, PageBytes: limit}
		require.Equal(t, all, plain(j.follow(options)), "%d bytes", limit)
		for page, err := range j.ReadAll(j.ctx, options) {
			require.NoError(t, err)
			require.True(t, len(page.Events) <= 1 || bytesOf(page.Events) <= limit)
		}
	}
}

func backwardHidden(t *testing.T, s suite) {
	j := s.open(t)
	for i := range 30 {
		j.store(persistence.StreamID(fmt.Sprintf("$hidden-%d", i)), persistence.NoStream, note("hidden"))
		if i%10 == 5 {
			j.grow("shown-1", 1)
		}
	}
	for _, rows := range []int{0, 1, 2, 4, 33} {
		events := j.follow(persistence.ReadAllOptions{Backward: true, PageRows: rows})
		require.Equal(t, []persistence.Version{3, 2, 1}, versionsOf(events), "%d rows", rows)
		require.Len(t, j.follow(persistence.ReadAllOptions{Backward: true, PageRows: rows, System: true}), 33)
	}
}

func backwardSteady(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("steady-1", 10)
	want := plain(j.all())
	slices.Reverse(want)
	var events []persistence.Recorded

	for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Backward: true, PageRows: 3}) {
		require.NoError(t, err)
		events = append(events, page.Events...)
		j.grow("steady-1", 2)
	}

	require.Equal(t, want, plain(events))
}
