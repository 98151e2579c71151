package appender

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

const (
	modelAppends = 12
	modelEvents  = 4
	modelBytes   = 400
	modelQueued  = 900
)

// model is what a queue must do, told without lanes: one list of what waits, in
// the order of arrival. The test forms and settles batches itself, so that every
// run of it can be repeated and shrunk.
type model struct {
	queue   *Queue
	chains  []*persistence.Chain
	waiting []*modelEntry
	batches []*Batch
	newest  *Batch
	open    map[*Batch][]int // items not settled yet
	flying  map[persistence.StreamID][]*modelEntry
	follow  map[persistence.StreamID]*modelEntry // what may follow one in flight continues, and expects
	appends int
	bytes   int
	made    int
}

type modelEntry struct {
	label  string
	append persistence.Append
	chain  *persistence.Chain
	named  bool
	item   *Item // that it is a part of
	told   []persistence.Outcome
}

func TestModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{
			queue: New(Config{
				Commit: func(*Batch) {}, BatchEvents: modelEvents, BatchBytes: modelBytes,
				QueuedAppends: modelAppends, QueuedBytes: modelQueued,
			}),
			chains: []*persistence.Chain{nil, {}, {}},
			open:   map[*Batch][]int{}, flying: map[persistence.StreamID][]*modelEntry{},
			follow: map[persistence.StreamID]*modelEntry{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"submit":    m.submit,
			"continue":  m.continueChain,
			"form":      m.form,
			"settle":    m.settle,
			"let":       m.letFollow,
			"new chain": func(t *rapid.T) { m.chains[rapid.IntRange(1, 2).Draw(t, "chain")] = new(persistence.Chain) },
			"":          m.check,
		})
	})
}

func (m *model) submit(t *rapid.T) {
	stream := persistence.StreamID(rapid.SampledFrom([]string{"a-1", "b-1", "c-1"}).Draw(t, "stream"))
	expected := persistence.Expected(rapid.IntRange(-2, 4).Draw(t, "expected"))
	m.hand(t, stream, expected, rapid.SampledFrom(m.chains).Draw(t, "chain"), rapid.IntRange(0, 5).Draw(t, "named") == 0)
}

// continueChain submits what a writer who pipelines would.
func (m *model) continueChain(t *rapid.T) {
	var flying []*modelEntry
	for _, stream := range slices.Sorted(maps.Keys(m.flying)) { // in an order that can be repeated
		flying = append(flying, m.flying[stream]...)
	}
	for _, e := range slices.Backward(append(flying, m.waiting...)) {
		if version, exact := e.append.Expected.Version(); exact && e.chain != nil {
			m.hand(t, e.append.Stream, persistence.Exact(version+persistence.Version(len(e.append.Events))), e.chain, false)
			return
		}
	}
	t.Skip("nobody writes a chain")
}

func (m *model) hand(t *rapid.T, stream persistence.StreamID, expected persistence.Expected, chain *persistence.Chain, named bool) {
	m.made++
	e := &modelEntry{label: fmt.Sprint("e", m.made), chain: chain}
	e.append = add(stream, expected, slices.Repeat([]string{e.label}, rapid.IntRange(0, 3).Draw(t, "events"))...)
	for i := range e.append.Events {
		e.append.Events[i].Payload = make([]byte, rapid.SampledFrom([]int{0, 0, 0, 150, 500}).Draw(t, "bytes"))
		if named {
			e.append.Events[i].ID = persistence.NewEventID()
		}
	}
	e.named = e.append.Named()

	err := m.queue.Submit(e.append, chain, func(o persistence.Outcome) { e.told = append(e.told, o) })

	size := e.append.Size()
	switch {
	case m.appends == modelAppends || m.bytes+size > modelQueued && m.appends > 0:
		require.ErrorIs(t, err, persistence.ErrOverloaded)
	case chain.Err() != nil:
		require.Equal(t, chain.Err(), err)
	default:
		require.NoError(t, err)
		m.waiting = append(m.waiting, e)
		m.appends++
		m.bytes += size
	}
}

func (m *model) form(t *rapid.T) {
	m.queue.mu.Lock()
	batch := m.queue.form()
	m.queue.mu.Unlock()
	require.Equal(t, m.free() == 0, len(batch.Items) == 0, "a batch takes what is ready, and nothing else")
	if len(batch.Items) == 0 {
		return
	}
	m.batches, m.newest = append(m.batches, batch), batch
	events, bytes := 0, 0
	for i := range batch.Items {
		item := &batch.Items[i]
		m.open[batch] = append(m.open[batch], i)
		size := m.takeItem(t, item)
		events, bytes = events+len(item.Events), bytes+size
	}
	require.Equal(t, events, batch.Events)
	if len(batch.Items) > 1 {
		require.LessOrEqual(t, events, modelEvents)
		require.LessOrEqual(t, bytes, modelBytes)
	}
}

// free is how many streams have something to take.
func (m *model) free() int {
	free, seen := 0, map[persistence.StreamID]bool{}
	for _, e := range m.waiting {
		if !seen[e.append.Stream] && (len(m.flying[e.append.Stream]) == 0 && m.hasTurn(e) || m.mayFollow(e)) {
			free++
		}
		seen[e.append.Stream] = true
	}
	return free
}

// hasTurn reports whether all before an append in its chain are settled.
func (m *model) hasTurn(e *modelEntry) bool {
	if e.chain == nil {
		return true
	}
	for _, flying := range m.flying {
		if len(flying) > 0 && flying[0].chain == e.chain {
			return false
		}
	}
	first := slices.IndexFunc(m.waiting, func(other *modelEntry) bool { return other.chain == e.chain })
	return m.waiting[first] == e
}

// letFollow allows what continues the newest batch, as a committer does who stores
// the next one after it and only if all of it was stored.
func (m *model) letFollow(t *rapid.T) {
	if len(m.batches) == 0 {
		t.Skip("nothing is in flight")
	}
	batch := m.batches[len(m.batches)-1]
	if len(m.open[batch]) < len(batch.Items) || batch != m.newest {
		t.Skip("some of it is settled")
	}

	batch.LetFollow()

	for i := range batch.Items {
		item := &batch.Items[i]
		chain := item.entries[0].chain
		if version, exact := item.Expected.Version(); exact && !item.Named && len(item.Events) > 0 && chain != nil {
			next := persistence.Exact(version + persistence.Version(len(item.Events)))
			m.follow[item.Stream] = &modelEntry{chain: chain, append: persistence.Append{Expected: next}}
		}
	}
}

// mayFollow reports whether an append may be in flight behind another one of its
// stream.
func (m *model) mayFollow(e *modelEntry) bool {
	tail := m.follow[e.append.Stream]
	if tail == nil || len(m.flying[e.append.Stream]) == 0 || e.chain != tail.chain || e.append.Expected != tail.append.Expected || e.named || len(e.append.Events) == 0 {
		return false
	}
	first := slices.IndexFunc(m.waiting, func(other *modelEntry) bool { return other.chain == e.chain })
	return m.waiting[first] == e
}

// takeItem requires that an item consists of the oldest appends of its stream,
// joined only where one continues the chain of the other.
func (m *model) takeItem(t *rapid.T, item *Item) (size int) {
	var events []persistence.Event
	var joined []*modelEntry
	if flying := m.flying[item.Stream]; len(flying) > 0 {
		require.Same(t, m.batchOf(flying[len(flying)-1].item), item.Follows)
	} else {
		require.Nil(t, item.Follows)
	}
	for len(joined) < len(item.entries) {
		at := slices.IndexFunc(m.waiting, func(e *modelEntry) bool { return e.append.Stream == item.Stream })
		e := m.waiting[at]
		if len(joined) > 0 {
			first := slices.IndexFunc(m.waiting, func(other *modelEntry) bool { return other.chain == e.chain })
			require.Equal(t, at, first, "nothing of the chain is left out")
			version, exact := item.Expected.Version()
			require.True(t, exact && e.chain != nil && e.chain == joined[0].chain && !e.named && !joined[0].named)
			next, _ := e.append.Expected.Version()
			require.Equal(t, version+persistence.Version(len(events)), next)
			require.NotEmpty(t, e.append.Events)
		} else {
			require.True(t, item.Follows != nil && m.mayFollow(e) || item.Follows == nil && m.hasTurn(e))
			require.Equal(t, e.append.Expected, item.Expected)
			require.Equal(t, e.named, item.Named)
		}
		m.waiting = slices.Delete(m.waiting, at, at+1)
		e.item = item
		joined = append(joined, e)
		events = append(events, e.append.Events...)
		size += e.append.Size()
	}
	m.flying[item.Stream] = append(m.flying[item.Stream], joined...)
	delete(m.follow, item.Stream)
	require.Len(t, item.Events, len(events))
	for i := range events {
		require.Equal(t, events[i].Type, item.Events[i].Type)
		require.NotZero(t, item.Events[i].ID)
	}
	if len(item.entries) > 1 {
		require.LessOrEqual(t, len(item.Events), modelEvents)
		require.LessOrEqual(t, size, modelBytes)
	}
	return size
}

func (m *model) batchOf(item *Item) *Batch {
	return m.batches[slices.IndexFunc(m.batches, func(b *Batch) bool {
		return slices.ContainsFunc(m.open[b], func(i int) bool { return &b.Items[i] == item })
	})]
}

func (m *model) settle(t *rapid.T) {
	if len(m.batches) == 0 {
		t.Skip("nothing is in flight")
	}
	at := rapid.IntRange(0, len(m.batches)-1).Draw(t, "batch")
	batch := m.batches[at]
	items := m.open[batch]
	k := rapid.IntRange(0, len(items)-1).Draw(t, "item")
	item := &batch.Items[items[k]]
	if m.flying[item.Stream][0].item != item {
		t.Skip("one before it is not settled")
	}
	told := m.flying[item.Stream][:len(item.entries):len(item.entries)]
	outcome := persistence.Outcome{First: 11, Last: 10 + persistence.Version(len(item.Events)), Position: persistence.Position{Offset: 101}}
	if rapid.IntRange(0, 3).Draw(t, "fails") == 0 {
		outcome = persistence.Outcome{Err: errors.New("refused")}
	}
	if broken := batch.Broken(items[k]); broken != nil {
		outcome = persistence.Outcome{Err: broken}
	}

	batch.Settle(items[k], outcome)

	if m.flying[item.Stream] = m.flying[item.Stream][len(told):]; len(m.flying[item.Stream]) == 0 {
		delete(m.follow, item.Stream)
	}
	if m.open[batch] = slices.Delete(items, k, k+1); len(m.open[batch]) == 0 {
		m.batches = slices.Delete(m.batches, at, at+1)
	}
	if outcome.Err != nil {
		if told[0].chain != nil {
			require.Error(t, told[0].chain.Err())
		}
		told = append(told, m.broken(told[0].chain)...)
	}
	for _, e := range told {
		want := outcome
		if outcome.Err == nil && len(e.append.Events) > 0 {
			want.Last = outcome.First + persistence.Version(len(e.append.Events)) - 1
			outcome.First = want.Last + 1
			outcome.Position.Offset += int64(len(e.append.Events))
		}
		require.Equal(t, []persistence.Outcome{want}, e.told)
		m.appends--
		m.bytes -= e.append.Size()
	}
}

// broken takes out what waits on a chain.
func (m *model) broken(chain *persistence.Chain) (all []*modelEntry) {
	if chain == nil {
		return nil
	}
	m.waiting = slices.DeleteFunc(m.waiting, func(e *modelEntry) bool {
		if e.chain != chain {
			return false
		}
		all = append(all, e)
		return true
	})
	return all
}

func (m *model) check(t *rapid.T) {
	require.Equal(t, m.appends, m.queue.appends)
	require.Equal(t, m.bytes, m.queue.bytes)
	require.Equal(t, m.appends == 0, m.queue.Idle())
	for _, e := range m.waiting {
		require.Empty(t, e.told, "what waits has been told nothing")
	}
	if m.appends == 0 {
		require.Empty(t, m.queue.form().Items)
		require.Empty(t, m.queue.lanes)
		require.Zero(t, m.queue.ready.Len())
		require.Empty(t, m.queue.turns)
	}
}
