package torture

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Path drives the hot path of appends: two nodes write to streams of which they
// share half, each append submitted on top of one that is still under way and some
// with a version that has passed, while backends are killed and a proxy cuts
// messages. Writers of shared streams rest much longer than they write: where everything
// conflicts, journals leave the hot path.
type Path struct {
	Target
	// Duration is the time for which they write.
	Duration time.Duration
}

// streamsOfNode are the streams that a node writes to. Half of them are also those
// of the other one.
const streamsOfNode = 36

// Run writes, reads and judges. An error means that it could not.
func (p Path) Run(ctx context.Context) (_ *Report, err error) {
	report := &Report{Program: "path", Seed: p.Seed}
	// The server counts calls of functions for whoever connects from here on.
	if err := execute(ctx, p.URL, "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET track_functions = ''all''', current_database()); END $$"); err != nil {
		return nil, err
	}
	proxy, err := startProxy(ctx, &p.Target)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, proxy.close()) }()
	l, err := newLoad(ctx, &p.Target, 2*streamsOfNode-streamsOfNode/2)
	if err != nil {
		return nil, err
	}
	defer l.close()
	if err := l.open(ctx, proxy.URL(), 2); err != nil {
		return nil, err
	}
	if err := l.open(ctx, p.URL, 1); err != nil {
		return nil, err
	}
	if err := p.torture(ctx, l, proxy, report); err != nil {
		return nil, err
	}
	return report, l.judge(ctx, report)
}

func (p *Path) torture(ctx context.Context, l *load, proxy *proxy, report *Report) error {
	readers := everything(l.nodes[2:], l.streams, l.lots)
	l.follow(ctx, l.nodes[2], readers[0], readers[1], readers[len(readers)-1])
	for i, node := range l.nodes[:2] {
		first := i * streamsOfNode / 2
		for k, stream := range l.streams[first : first+streamsOfNode] {
			shared := (k < streamsOfNode/2) == (i == 1)
			writer := &chainWriter{load: l, journal: node, stream: stream, shared: shared, lots: l.lots()}
			l.writing.Go(func() { writer.run(ctx) })
		}
	}
	proxy.armed.Store(true)
	killing, stopKilling := context.WithCancel(ctx)
	defer stopKilling()
	killer := &killer{url: p.URL, names: []string{journalName}, every: 40 * time.Millisecond, ledger: l.ledger, lots: l.lots()}
	l.writing.Go(func() { killer.run(killing) })
	pause(ctx, p.Duration)
	stopKilling()
	proxy.armed.Store(false)
	if err := l.finish(ctx, report); err != nil {
		return err
	}
	report.Kills = killer.killed
	report.Halves, report.Cuts, report.Closes = int(proxy.halves.Load()), int(proxy.cuts.Load()), int(proxy.closes.Load())
	return killer.err
}

// chainWriter is the writer of one stream on one node, as an activation of an
// aggregate is: it decides ahead, and reads its stream anew when something failed.
type chainWriter struct {
	load    *load
	journal Journal
	stream  persistence.StreamID
	shared  bool
	lots    *rand.Rand
}

func (w *chainWriter) run(ctx context.Context) {
	version, known, took := persistence.Version(0), false, time.Duration(0)
	for w.load.goesOn(ctx) {
		if w.shared {
			pause(ctx, upTo(w.lots, 20*took+time.Millisecond))
		}
		if !known {
			info, err := w.journal.Stream(ctx, w.stream)
			if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
				pause(ctx, upTo(w.lots, 10*time.Millisecond))
				continue
			}
			version = info.Version
		}
		believed := version
		if w.lots.IntN(200) == 0 && version > 0 {
			believed -= 1 + persistence.Version(w.lots.IntN(int(min(version, 3))))
		}
		begun := time.Now()
		version, known = w.chain(ctx, believed)
		if took = time.Since(begun); !known {
			pause(ctx, upTo(w.lots, 2*time.Millisecond))
		}
	}
}

// chain submits some appends, each on top of the one before while that is under
// way, and waits for all. It returns the version of the stream when all were stored.
func (w *chainWriter) chain(ctx context.Context, version persistence.Version) (persistence.Version, bool) {
	var waiting sync.WaitGroup
	var attempts []*attempt
	var before *attempt
	chain := new(persistence.Chain)
	for range 1 + w.lots.IntN(4) {
		if before != nil && w.lots.IntN(2) == 0 {
			pause(ctx, upTo(w.lots, time.Millisecond)) // so that the one before may be on its way already
		}
		a := w.load.ledger.begin(w.stream, persistence.Exact(version), 1+w.lots.IntN(3))
		a.after, before = before, a
		attempts = append(attempts, a)
		waiting.Add(1)
		err := w.journal.Submit(a.append(), chain, func(o persistence.Outcome) {
			w.load.ledger.end(a, o)
			waiting.Done()
		})
		if err != nil {
			w.load.ledger.refuse(err, a)
			waiting.Done()
			break
		}
		version += persistence.Version(a.events)
	}
	waiting.Wait()
	return version, w.load.ledger.storedAll(attempts)
}
