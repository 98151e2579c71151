package torture

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/stele-es/stele/persistence"
)

// load is writers and readers at work on one database.
type load struct {
	target  *Target
	nodes   []Journal
	callers *pgxpool.Pool // the connections of transactions that AppendTx joins
	streams []persistence.StreamID
	ledger  *ledger
	readers []*reader
	foreign atomic.Bool

	goroutines int            // that draw lots
	writing    sync.WaitGroup // owns the writers and who harms them
	stopped    chan struct{}  // closed when writers are to end
	stopWrites func()
	reading    sync.WaitGroup // owns the readers
	stopReads  context.CancelFunc
}

// newLoad prepares a database. The load does nothing yet, and is released by close.
func newLoad(ctx context.Context, target *Target, streams int) (*load, error) {
	if err := execute(ctx, target.URL, noteTable); err != nil {
		return nil, err
	}
	l := &load{target: target, streams: streamNames(streams), ledger: new(ledger), stopped: make(chan struct{}), stopReads: func() {}}
	l.stopWrites = sync.OnceFunc(func() { close(l.stopped) })
	return l, nil
}

// open opens nodes by a URL.
func (l *load) open(ctx context.Context, url string, nodes int) error {
	for range nodes {
		journal, err := l.target.Open(ctx, url)
		if err != nil {
			return fmt.Errorf("open a node: %w", err)
		}
		l.nodes = append(l.nodes, journal)
	}
	return nil
}

// follow starts readers. Those who begin late begin in what a node sees then.
func (l *load) follow(ctx context.Context, node Journal, readers ...*reader) {
	life, cancel := context.WithCancel(ctx)
	l.stopReads = cancel
	l.readers = readers
	l.readers[0].foreign = &l.foreign
	for _, reader := range l.readers {
		lots := l.lots()
		l.reading.Go(func() { l.read(life, node, reader, lots) })
	}
}

// startLoad has nodes write and read in all ways.
func startLoad(ctx context.Context, target *Target, nodes, writersOfNode, callers int) (*load, error) {
	l, err := newLoad(ctx, target, 24)
	if err != nil {
		return nil, err
	}
	if err := l.start(ctx, nodes, writersOfNode, callers); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *load) start(ctx context.Context, nodes, writersOfNode, callers int) error {
	config, err := pgxpool.ParseConfig(l.target.URL)
	if err != nil {
		return errors.New("the target's URL is not a connection string") // the error quotes it
	}
	config.MaxConns = int32(callers) //nolint:gosec // a few
	config.ConnConfig.RuntimeParams["application_name"] = callerName
	if l.callers, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return err
	}
	if err := l.open(ctx, l.target.URL, nodes); err != nil {
		return err
	}
	l.follow(ctx, l.nodes[0], everything(l.nodes, l.streams, l.lots)...)
	for i := range nodes * writersOfNode {
		w := &writer{load: l, lots: l.lots(), journal: l.nodes[i%nodes], known: map[persistence.StreamID]persistence.Version{}}
		l.writing.Go(func() { w.run(ctx) })
	}
	for i := range callers {
		c := &caller{load: l, lots: l.lots(), journal: l.nodes[i%nodes]}
		l.writing.Go(func() { c.run(ctx) })
	}
	return nil
}

func (l *load) lots() *rand.Rand {
	l.goroutines++
	return l.target.lots(l.goroutines)
}

// goesOn reports whether writers are to write on.
func (l *load) goesOn(ctx context.Context) bool {
	select {
	case <-l.stopped:
		return false
	default:
		return ctx.Err() == nil
	}
}

// attempt begins an append that makes little of what it expects.
func (l *load) attempt(lots *rand.Rand, events int) *attempt {
	expected := persistence.Any
	if lots.IntN(8) == 0 {
		expected = persistence.StreamExists
	}
	return l.ledger.begin(l.streams[lots.IntN(len(l.streams))], expected, 1+lots.IntN(events))
}

// read runs a reader. A late one begins anywhere in what is there by then.
func (l *load) read(ctx context.Context, node Journal, r *reader, lots *rand.Rand) {
	for r.late && r.from == 0 && pause(ctx, 20*time.Millisecond+upTo(lots, 300*time.Millisecond)) {
		// Not near the end, which a crash may take back until it is delivered.
		if head, err := node.Head(ctx); err == nil && head.Of(0).Offset > 1 {
			r.from = 1 + lots.Int64N(head.Of(0).Offset/2)
			r.at.Store(r.from)
		}
	}
	r.run(ctx)
}

// finish ends the writing, waits until every reader has come to the end, and ends
// the reading. Those who do not come are told in the report.
func (l *load) finish(ctx context.Context, report *Report) error {
	l.stopWrites()
	l.writing.Wait()
	if err := l.await(ctx, report); err != nil {
		return err
	}
	l.stopReads()
	l.reading.Wait()
	return nil
}

// await waits until every reader has come to the end. Once one of them cannot go on
// the verdict is known, and what a journal that lost its end does with the others
// is not waited for.
func (l *load) await(ctx context.Context, report *Report) error {
	head, err := headOf(ctx, l.target.URL)
	if err != nil {
		return err
	}
	for _, r := range l.readers {
		r.goal.Store(head)
	}
	behind := func(r *reader) bool { return r.at.Load() < head }
	broken := func(r *reader) bool { return r.over.Load() }
	err = eventually(ctx, "the readers to come to the end", func() (bool, error) {
		return slices.ContainsFunc(l.readers, broken) || !slices.ContainsFunc(l.readers, behind), nil
	})
	if ctx.Err() != nil || err == nil {
		return context.Cause(ctx)
	}
	for _, r := range l.readers {
		if behind(r) {
			report.found(Stalled, "%s stands at %d of %d, foreign transaction open %t", r.name, r.at.Load(), head, l.foreign.Load())
		}
	}
	return nil
}

func (l *load) close() {
	l.stopWrites()
	l.writing.Wait()
	l.stopReads()
	l.reading.Wait()
	for _, node := range l.nodes {
		_ = node.Close() // what it could not write its outcomes have told
	}
	if l.callers != nil {
		l.callers.Close()
	}
}

// judge checks everything once nobody can write any more.
func (l *load) judge(ctx context.Context, report *Report) error {
	l.close()
	delays := l.readers[0].delays
	report.Quiet, report.Foreign = newDelays(delays[0]), newDelays(delays[1])
	return check(ctx, l.target.URL, l.ledger, l.readers, report)
}

func streamNames(n int) []persistence.StreamID {
	streams := make([]persistence.StreamID, n)
	for i := range streams {
		streams[i] = persistence.StreamID(fmt.Sprintf("%c-%d", 'a'+i%3, i))
	}
	return streams
}
