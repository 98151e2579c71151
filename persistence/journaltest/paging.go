package journaltest

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

// paging are the cases of a [persistence.PageReader].
var paging = cases{
	"first pages of many streams are read at once": pagesOfMany,
	"a page request fails alone and says why":      pagesAlone,
}

func pagesOfMany(t *testing.T, s suite) {
	j := s.open(t)
	pages := ability[persistence.PageReader](j.Journal)
	const streams = 40
	var requests []persistence.PageRequest
	var want [][]persistence.Recorded
	for i := range streams {
		stream := persistence.StreamID(fmt.Sprintf("many-%d", i))
		j.grow(stream, i%7)
		for _, part := range []persistence.ReadOptions{{Limit: 3}, {From: 1, Limit: 100}, {From: 3, Limit: 2}, {From: persistence.MaxVersion, Limit: 1}} {
			events, err := j.read(stream, part)
			require.True(t, err == nil || i%7 == 0)
			requests = append(requests, persistence.PageRequest{Stream: stream, From: part.From, Limit: part.Limit})
			want = append(want, plain(events))
		}
	}

	got, err := pages.ReadPages(j.ctx, requests)

	require.NoError(t, err)
	require.Len(t, got, len(requests))
	for i := range got {
		require.NoError(t, got[i].Err)
		require.Equal(t, want[i], plain(got[i].Events), "%+v", requests[i])
	}
	none, err := pages.ReadPages(j.ctx, nil)
	require.NoError(t, err)
	require.Empty(t, none)
}

func pagesAlone(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("fine-1", 2)

	got, err := ability[persistence.PageReader](j.Journal).ReadPages(j.ctx, []persistence.PageRequest{
		{Stream: "fine-1", Limit: 0},
		{Stream: "fine-1", Limit: -1},
		{Stream: "fine-1", From: persistence.MaxVersion + 1, Limit: 1},
		{Stream: "fine-1", Limit: 5},
		{Stream: "missing-1", Limit: 5},
	})

	require.NoError(t, err)
	for i := range 3 {
		require.ErrorIs(t, got[i].Err, persistence.ErrInvalid)
		require.Empty(t, got[i].Events)
	}
	require.NoError(t, got[3].Err)
	require.Len(t, got[3].Events, 2)
	require.NoError(t, got[4].Err, "a stream without events is an empty page")
	require.Empty(t, got[4].Events)
}
