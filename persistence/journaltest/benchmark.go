package journaltest

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stele-es/stele/persistence"
)

// Benchmark measures a journal. The names are the same for all journals, so that
// their figures can be compared. Events have 200 bytes of payload and 115 bytes of
// headers. Each measurement opens a journal of its own and reports
// events/s beside the time of an operation.
func Benchmark(b *testing.B, open func(testing.TB) persistence.Journal) {
	b.Helper()
	for _, size := range []int{1, 10, 100, 1000} {
		b.Run(fmt.Sprintf("append/batch=%d", size), func(b *testing.B) { benchmarkAppend(b, measured(b, open), size) })
	}
	b.Run("append/goroutines=256", func(b *testing.B) { benchmarkConcurrent(b, measured(b, open)) })
	if has[persistence.Submitter](measured(b, open).Journal) {
		b.Run("submit/streams=256", func(b *testing.B) { benchmarkSubmit(b, measured(b, open)) })
	}
	b.Run("replay/events=10", func(b *testing.B) { benchmarkReplay(b, measured(b, open)) })
	if has[persistence.PageReader](measured(b, open).Journal) {
		b.Run("replay/events=10/streams=100", func(b *testing.B) { benchmarkPages(b, measured(b, open)) })
	}
	b.Run("tail/events=10000", func(b *testing.B) { benchmarkTail(b, measured(b, open), nil) })
	b.Run("tail/events=10000/filter=1in10", func(b *testing.B) {
		benchmarkTail(b, measured(b, open), where(func(recorded *persistence.Recorded) bool { return recorded.Version == 1 }))
	})
	if has[persistence.Transactor](measured(b, open).Journal) {
		b.Run("transact/streams=2", func(b *testing.B) { benchmarkTransact(b, measured(b, open)) })
	}
	b.Run("list/streams=1000/page=100", func(b *testing.B) { benchmarkList(b, measured(b, open)) })
}

func measured(b *testing.B, open func(testing.TB) persistence.Journal) journal {
	b.Helper()
	opened := open(b)
	b.Cleanup(func() {
		if err := opened.Close(); err != nil {
			b.Errorf("close the journal: %v", err)
		}
	})
	return journal{Journal: opened, t: b, ctx: b.Context()}
}

// benchmarkEvents makes count new events, because a journal may keep what it is given.
func benchmarkEvents(count int) []persistence.Event {
	events := make([]persistence.Event, count)
	for i := range events {
		events[i] = persistence.Event{Type: "bank.v1.Deposited", Payload: benchmarkPayload, Headers: benchmarkHeaders}
	}
	return events
}

var (
	benchmarkPayload = bytes.Repeat([]byte("payload "), 25)
	benchmarkHeaders = bytes.Repeat([]byte("trace"), 23)
)

func benchmarkStreams(count int) []persistence.StreamID {
	names := make([]persistence.StreamID, count)
	for i := range names {
		names[i] = persistence.StreamID(fmt.Sprintf("bench-%d", i))
	}
	return names
}

func reportEvents(b *testing.B, count int) {
	b.ReportMetric(float64(count)/b.Elapsed().Seconds(), "events/s")
}

// benchmarkAppend measures a call that appends one event to each of size
// streams, at exact versions, as a batch of many aggregates does.
func benchmarkAppend(b *testing.B, j journal, size int) {
	events := benchmarkEvents(1)
	appends := make([]persistence.Append, size)
	for i, name := range benchmarkStreams(size) {
		appends[i] = persistence.Append{Stream: name, Events: events}
	}
	version := persistence.Version(0)
	b.ReportAllocs()
	for b.Loop() {
		for i := range appends {
			appends[i].Expected = persistence.Exact(version)
		}
		for _, outcome := range j.tryAll(appends...) {
			if outcome.Err != nil {
				b.Fatal(outcome.Err)
			}
		}
		version++
	}
	reportEvents(b, size*b.N)
}

// benchmarkConcurrent measures 256 writers. Each has a stream and waits for each of
// its appends.
func benchmarkConcurrent(b *testing.B, j journal) {
	const writers = 256
	var next atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(max(1, writers/runtime.GOMAXPROCS(0)))
	b.RunParallel(func(pb *testing.PB) {
		stream := persistence.StreamID(fmt.Sprintf("bench-%d", next.Add(1)))
		events := benchmarkEvents(1)
		for version := persistence.Version(0); pb.Next(); version++ {
			outcomes, err := j.Append(j.ctx, persistence.Append{Stream: stream, Expected: persistence.Exact(version), Events: events})
			if err != nil || outcomes[0].Err != nil {
				b.Error(err, outcomes)
				return
			}
		}
	})
	reportEvents(b, b.N)
}

// benchmarkSubmit measures one writer that pipelines to 256 streams, with up to 4096
// appends under way. It allocates one slice of events for each append itself.
func benchmarkSubmit(b *testing.B, j journal) {
	const streams, room = 256, 4096
	submitter := ability[persistence.Submitter](j.Journal)
	names, chains, versions := benchmarkStreams(streams), make([]persistence.Chain, streams), make([]persistence.Version, streams)
	free := make(chan struct{}, room)
	for range room {
		free <- struct{}{}
	}
	var failed atomic.Pointer[error]
	done := func(o persistence.Outcome) {
		if o.Err != nil {
			failed.Store(&o.Err)
		}
		free <- struct{}{}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i = (i + 1) % streams {
		<-free
		a := persistence.Append{Stream: names[i], Expected: persistence.Exact(versions[i]), Events: benchmarkEvents(1)}
		if err := submitter.Submit(a, &chains[i], done); err != nil {
			b.Fatal(err)
		}
		versions[i]++
	}
	for range room {
		<-free
	}
	if err := failed.Load(); err != nil {
		b.Fatal(*err)
	}
	reportEvents(b, b.N)
}

const (
	replayStreams = 1000
	replayEvents  = 10
)

// fillStreams stores 1000 streams of 10 events and returns their names.
func fillStreams(j journal) []persistence.StreamID {
	names := benchmarkStreams(replayStreams)
	for part := range slices.Chunk(names, 100) {
		appends := make([]persistence.Append, len(part))
		for i := range appends {
			appends[i] = persistence.Append{Stream: part[i], Events: benchmarkEvents(replayEvents)}
		}
		for _, outcome := range j.tryAll(appends...) {
			if outcome.Err != nil {
				j.t.Errorf("fill: %v", outcome.Err)
			}
		}
	}
	return names
}

// benchmarkReplay measures reading a stream of 10, as a recovery does.
func benchmarkReplay(b *testing.B, j journal) {
	names := fillStreams(j)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		count := 0
		for _, err := range j.Read(j.ctx, names[i%len(names)], persistence.ReadOptions{}) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count != replayEvents {
			b.Fatalf("%d events", count)
		}
	}
	reportEvents(b, replayEvents*b.N)
}

// benchmarkPages measures reading 100 streams of 10 in one call.
func benchmarkPages(b *testing.B, j journal) {
	names := fillStreams(j)
	pages := ability[persistence.PageReader](j.Journal)
	requests := make([]persistence.PageRequest, 100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for k := range requests {
			requests[k] = persistence.PageRequest{Stream: names[(100*i+k)%len(names)], Limit: 100}
		}
		got, err := pages.ReadPages(j.ctx, requests)
		if err != nil || len(got[99].Events) != replayEvents {
			b.Fatal(err, len(got))
		}
	}
	reportEvents(b, 100*replayEvents*b.N)
}

// benchmarkTail measures reading the global sequence in pages of the default
// size, as a projection does that starts anew. A filter chooses a tenth of the events;
// events/s counts all that were looked at.
func benchmarkTail(b *testing.B, j journal, filter persistence.Filter) {
	fillStreams(j)
	want := replayStreams * replayEvents
	if filter != nil {
		want = replayStreams
	}
	b.ReportAllocs()
	for b.Loop() {
		count := 0
		for page, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Filter: filter}) {
			if err != nil {
				b.Fatal(err)
			}
			count += len(page.Events)
		}
		if count != want {
			b.Fatalf("%d events", count)
		}
	}
	reportEvents(b, replayStreams*replayEvents*b.N)
}

// benchmarkTransact measures a transaction that appends to two streams at exact
// versions.
func benchmarkTransact(b *testing.B, j journal) {
	events := benchmarkEvents(1)
	version := persistence.Version(0)
	b.ReportAllocs()
	for b.Loop() {
		err := transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("bench-left", persistence.Exact(version), events...), to("bench-right", persistence.Exact(version), events...))
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
		version++
	}
	reportEvents(b, 2*b.N)
}

// benchmarkList measures a page of a listing, as a console shows it.
func benchmarkList(b *testing.B, j journal) {
	fillStreams(j)
	names := benchmarkStreams(100)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		count := 0
		for _, err := range j.List(j.ctx, persistence.ListOptions{Category: "bench", After: string(names[i%len(names)]), Limit: 100}) {
			if err != nil {
				b.Fatal(err)
			}
			count++
		}
		if count == 0 {
			b.Fatal("no streams")
		}
	}
}
