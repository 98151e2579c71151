package appender

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// store is a committer as the journals are: it takes the next batch while the
// last one is not settled, and settles them in order.
type store struct {
	queue   *Queue
	batches chan *Batch

	versions map[persistence.StreamID]persistence.Version
	events   map[persistence.StreamID][]string
	position int64
}

func newStore(config Config) *store {
	s := &store{
		batches: make(chan *Batch, 1), versions: map[persistence.StreamID]persistence.Version{},
		events: map[persistence.StreamID][]string{},
	}
	config.Commit = func(b *Batch) { s.batches <- b }
	s.queue = New(config)
	return s
}

func (s *store) run() {
	var group errgroup.Group
	group.Go(func() error {
		defer close(s.batches)
		s.queue.Run()
		return nil
	})
	for b := range s.batches {
		for i := range b.Items {
			b.Settle(i, s.store(&b.Items[i]))
		}
	}
	_ = group.Wait()
}

func (s *store) store(item *Item) persistence.Outcome {
	version := s.versions[item.Stream]
	switch {
	case len(item.Events) == 0:
		return persistence.Outcome{Last: version}
	case !item.Expected.Accepts(version):
		return persistence.Outcome{Err: &persistence.ConflictError{Stream: item.Stream, Expected: item.Expected, Actual: version}}
	}
	o := stored(version+1, version+persistence.Version(len(item.Events)), s.position+1)
	s.versions[item.Stream] = o.Last
	s.position += int64(len(item.Events))
	for i := range item.Events {
		s.events[item.Stream] = append(s.events[item.Stream], item.Events[i].Type)
	}
	return o
}

// TestStress has many writers pipeline on few streams, among callers who leave
// at any moment, and compares what each was told with what is stored.
func TestStress(t *testing.T) {
	t.Parallel()
	s := newStore(Config{BatchEvents: 16, QueuedAppends: 64})
	var background errgroup.Group
	background.Go(func() error { s.run(); return nil })
	var writers errgroup.Group
	for writer := range 8 {
		writers.Go(func() error { return pipelined(s.queue, writer) })
		writers.Go(func() error { return impatient(t.Context(), s.queue, writer) })
	}

	require.NoError(t, writers.Wait())
	s.queue.Close(t.Context())
	require.NoError(t, background.Wait())

	require.Zero(t, s.queue.appends)
	require.Zero(t, s.queue.bytes)
	require.Empty(t, s.queue.turns)
	for stream, events := range s.events {
		require.Len(t, events, int(s.versions[stream]))
	}
	require.NotZero(t, s.position)
}

// pipelined decides on top of its own appends without waiting for them, and
// starts again from what is stored when its chain breaks.
func pipelined(q *Queue, writer int) error {
	stream := persistence.StreamID(fmt.Sprintf("shared-%d", writer%3))
	var version persistence.Version
	for range 30 {
		chain, pipeline := new(persistence.Chain), new(pipeline)
		for range 10 {
			n := 1 + rand.IntN(3)
			if pipeline.submit(q, stream, version, n, chain) {
				version += persistence.Version(n)
			}
		}
		actual, err := pipeline.wait()
		if err != nil {
			return err
		}
		version = actual
	}
	return nil
}

// pipeline checks what the appends of one chain are told.
type pipeline struct {
	open sync.WaitGroup

	mu     sync.Mutex
	last   persistence.Version
	broken error
	wrong  error
}

func (p *pipeline) submit(q *Queue, stream persistence.StreamID, version persistence.Version, n int, chain *persistence.Chain) bool {
	a := persistence.Append{Stream: stream, Expected: persistence.Exact(version)}
	for range n {
		a.Events = append(a.Events, persistence.Event{Type: "x"})
	}
	p.open.Add(1)
	err := q.Submit(a, chain, func(o persistence.Outcome) {
		defer p.open.Done()
		p.mu.Lock()
		defer p.mu.Unlock()
		switch {
		case o.Err != nil && p.broken != nil && o.Err != p.broken: //nolint:errorlint // the same error is promised
			p.wrong = fmt.Errorf("a chain failed by %w and by %w", p.broken, o.Err)
		case o.Err != nil:
			p.broken = o.Err
		case p.broken != nil:
			p.wrong = fmt.Errorf("stored behind %w", p.broken)
		case o.First != version+1 || o.Last != version+persistence.Version(n) || p.last > 0 && o.First != p.last+1:
			p.wrong = fmt.Errorf("stored at %d to %d, expected behind %d and %d", o.First, o.Last, version, p.last)
		default:
			p.last = o.Last
		}
	})
	if err != nil {
		p.open.Done()
		chain.Fail(err)
	}
	return err == nil
}

// wait returns the version to go on from.
func (p *pipeline) wait() (persistence.Version, error) {
	p.open.Wait()
	conflict, _ := p.broken.(*persistence.ConflictError) //nolint:errorlint // as the store made it
	if conflict != nil {
		return conflict.Actual, p.wrong
	}
	return p.last, p.wrong
}

func impatient(patient context.Context, q *Queue, writer int) error {
	for i := range 200 {
		ctx, leave := context.WithCancel(patient)
		a := add(persistence.StreamID(fmt.Sprintf("shared-%d", (writer+i)%3)), persistence.Any, "y")
		left := make(chan struct{})
		go func() {
			defer close(left)
			if i%2 == 0 {
				leave()
			}
		}()
		outcomes, err := q.Append(ctx, a)
		<-left
		leave()
		if err == nil && len(outcomes) != 1 {
			return fmt.Errorf("%d outcomes of one append", len(outcomes))
		}
	}
	return nil
}

func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name    string
		streams int
		chained bool
	}{{"streams=1", 1, false}, {"streams=4096", 4096, false}, {"chains=4096", 4096, true}} {
		b.Run(c.name, func(b *testing.B) {
			q := New(Config{Commit: func(batch *Batch) {
				for i := range batch.Items {
					batch.Settle(i, persistence.Outcome{})
				}
			}})
			var background errgroup.Group
			background.Go(func() error { q.Run(); return nil })
			streams := make([]persistence.StreamID, c.streams)
			chains := make([]*persistence.Chain, c.streams)
			for i := range streams {
				streams[i] = persistence.StreamID(fmt.Sprintf("stream-%d", i))
				if c.chained {
					chains[i] = new(persistence.Chain)
				}
			}
			room := make(chan struct{}, 4096)
			payload := make([]byte, 200)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				room <- struct{}{}
				at := i % len(streams)
				err := q.Submit(persistence.Append{
					Stream: streams[at], Expected: persistence.Any,
					Events: []persistence.Event{{Type: "deposited", Payload: payload}},
				}, chains[at], func(persistence.Outcome) { <-room })
				if err != nil {
					b.Fatal(err)
				}
			}
			q.Close(b.Context())
			_ = background.Wait()
		})
	}
}
