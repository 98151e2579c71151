package postgres_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Main(m)) }

func TestSmoke(t *testing.T) {
	t.Parallel()
	j := pgtest.Journal(t)
	out, err := j.Append(t.Context(), persistence.Append{Stream: "account-ann", Events: []persistence.Event{
		{Type: "opened", Payload: []byte("x"), Metadata: persistence.Metadata{"k": persistence.Int(3)}}, {Type: "deposited", Payload: []byte("yy")}}})
	require.NoError(t, err)
	t.Log(out)
	require.NoError(t, out[0].Err)
	out, err = j.Append(t.Context(), persistence.Append{Stream: "account-ann", Events: []persistence.Event{{Type: "opened"}}},
		persistence.Append{Stream: "account-ann", Expected: persistence.Any, Events: []persistence.Event{{Type: "any"}}},
		persistence.Append{Stream: "account-ann", Expected: 9, Events: []persistence.Event{{Type: "any"}}},
		persistence.Append{Stream: "account-ann"},
		persistence.Append{Stream: "account-bob"},
		persistence.Append{Stream: "account-x", Expected: persistence.StreamExists, Events: []persistence.Event{{Type: "any"}}})
	require.NoError(t, err)
	t.Logf("%+v", out)
	id := persistence.NewEventID()
	for range 2 {
		out, err = j.Append(t.Context(), persistence.Append{Stream: "account-ann", Expected: 3, Events: []persistence.Event{{ID: id, Type: "named"}}})
		t.Logf("%+v %v", out, err)
	}
	for e, err := range j.Read(t.Context(), "account-ann", persistence.ReadOptions{}) {
		t.Log(e, err)
	}
	for e, err := range j.Read(t.Context(), "account-ann", persistence.ReadOptions{Backward: true, Limit: 2}) {
		t.Log(e.Version, err)
	}
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for v := range 50 {
				out, err := j.Append(t.Context(), persistence.Append{Stream: persistence.StreamID(fmt.Sprintf("s-%d", i)), Expected: persistence.Expected(v), Events: []persistence.Event{{Type: "x"}}})
				if err != nil || out[0].Err != nil {
					t.Error(err, out)
				}
			}
		})
	}
	wg.Wait()
	n := 0
	for p, err := range j.ReadAll(t.Context(), persistence.ReadAllOptions{PageRows: 100}) {
		require.NoError(t, err)
		n += len(p.Events)
	}
	h, err := j.Head(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, n, h[0])
	pages, err := j.ReadPages(t.Context(), []persistence.PageRequest{{Stream: "s-1", Limit: 10, From: 5}, {Stream: "none", Limit: 1}, {Stream: "s-2", Limit: 100}})
	require.NoError(t, err)
	require.Len(t, pages[0].Events, 10)
	require.Len(t, pages[2].Events, 50)
}
