package scenario

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/tail"
)

// late acknowledges a while after the append is stored, as one that waits for a
// flush can be seen before.
type late struct {
	*memory.Journal
	by time.Duration
}

func (l late) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return l.Journal.Submit(a, chain, func(o persistence.Outcome) { time.AfterFunc(l.by, func() { done(o) }) })
}

func TestTimes(t *testing.T) {
	t.Parallel()
	rows := load.NewRows()
	for name, c := range map[string]struct {
		acknowledged, opened time.Duration // after the append
		appended, delivered  float64       // in microseconds
	}{
		"delivered after the acknowledgement": {20 * time.Millisecond, 50 * time.Millisecond, 20_000, 30_000},
		"delivered before it":                 {20 * time.Millisecond, 5 * time.Millisecond, 20_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				j := new(memory.Journal)
				subscription, err := tail.Open(t.Context(), j, tail.Options{})
				require.NoError(t, err)
				times := newTimes(0, 1)
				w := load.NewWriter(late{j, c.acknowledged}, load.NewLanes("bench", 1), rows.Exactly)
				times.watch(&w)
				time.AfterFunc(c.opened, func() { require.NoError(t, times.follow(t.Context(), subscription)) })

				require.NoError(t, w.Append(0))
				require.NoError(t, w.Append(1), "for which there is no room")
				<-time.After(time.Second)
				require.NoError(t, appendLast(j))
				synctest.Wait()

				f := times.histograms(1)
				require.InEpsilon(t, c.appended, f.at(100).Ceiling, 0.01)
				require.InDelta(t, c.delivered, f.at(100).Ours, 100)
			})
		})
	}
}
