package scenario

import (
	"fmt"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// newWriters returns the writers that append while a subscription follows. Each has a stream
// of its own, which exists.
func newWriters(s *session, j store.Journal) ([]load.Writer, error) {
	writers := make([]load.Writer, s.scale.writers)
	for i := range writers {
		writers[i] = load.NewWriter(j, load.NewLanes(fmt.Sprint("bench-", i), 1), s.rows.Exactly)
	}
	_, err := load.Once(len(writers), len(writers), func(i int) error { return writers[i].Append(0) })
	return writers, err
}

// followed holds the times that appends took, the times from their acknowledgement to the
// delivery of the events, in nanoseconds, and the rate of events.
type followed struct {
	appended, delivered *hdrhistogram.Histogram
	rate                float64
}

// at compares a percentile of both in microseconds.
func (f followed) at(percentile float64) measure.Comparison {
	return measure.Comparison{
		Ours:    float64(f.delivered.ValueAtQuantile(percentile)) / 1e3,
		Ceiling: float64(f.appended.ValueAtQuantile(percentile)) / 1e3,
	}
}

// times are those of the first events behind the base, by their place.
type times struct {
	base   int64
	start  time.Time
	events []moments
}

// moments of one event, each since the start. The writer writes the first two, the
// follower the third, and they are read when both are done.
type moments struct{ submitted, acknowledged, delivered time.Duration }

func newTimes(base int64, room int) *times {
	return &times{base: base, start: time.Now(), events: make([]moments, room)}
}

// note changes the moments of an event if there is room for it.
func (t *times) note(position persistence.Position, change func(*moments)) {
	if i := position.Offset - t.base - 1; 0 <= i && i < int64(len(t.events)) {
		change(&t.events[i])
	}
}

// watch notes what happens to the appends of a writer.
func (t *times) watch(w *load.Writer) {
	next, done := w.Next, w.Done
	var submitted time.Duration
	w.Next = func(l *load.Lane) persistence.Append {
		a := next(l)
		submitted = time.Since(t.start)
		return a
	}
	w.Done = func(o persistence.Outcome) {
		if o.Err == nil {
			acknowledged := time.Since(t.start)
			t.note(o.Position, func(m *moments) { m.submitted, m.acknowledged = submitted, acknowledged })
		}
		done(o)
	}
}

// histograms are those of the first so many events, all of which have been
// delivered. An event can be delivered before its acknowledgement has come here,
// which counts as at once.
func (t *times) histograms(count int) followed {
	f := followed{appended: load.NewHistogram(), delivered: load.NewHistogram(), rate: float64(count) / time.Since(t.start).Seconds()}
	for _, m := range t.events[:min(count, len(t.events))] {
		_ = f.appended.RecordValue(int64(m.acknowledged - m.submitted)) // fails above a minute, which no window allows
		_ = f.delivered.RecordValue(int64(max(0, m.delivered-m.acknowledged)))
	}
	return f
}
