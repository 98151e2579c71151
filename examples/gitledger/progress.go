package main

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jedib0t/go-pretty/v6/progress"
	"github.com/mattn/go-isatty"
)

// meter shows how far a piece of work is, with its rate and the time that is
// left: on a terminal as a bar, elsewhere as a line now and then.
type meter struct {
	what    string
	total   int
	done    atomic.Int64
	started time.Time
	stopped chan struct{}
	showing sync.WaitGroup
}

// startMeter begins to show. The goroutine that shows ends with stop.
func startMeter(screen io.Writer, what string, total int) *meter {
	m := &meter{what: what, total: total, started: time.Now(), stopped: make(chan struct{})}
	if total == 0 {
		return m
	}
	show := m.lines
	if file, ok := screen.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
		show = m.bar
	}
	m.showing.Go(func() { show(screen) })
	return m
}

func (m *meter) add(n int) { m.done.Add(int64(n)) }

func (m *meter) stop() {
	close(m.stopped)
	m.showing.Wait()
}

const lineEvery = 2 * time.Second

func (m *meter) lines(screen io.Writer) {
	tick := time.NewTicker(lineEvery)
	defer tick.Stop()
	for {
		select {
		case <-m.stopped:
			return
		case <-tick.C:
			fmt.Fprintln(screen, m.line(time.Since(m.started)))
		}
	}
}

// line is "1200 of 8328 commits, 640/s, 11s left".
func (m *meter) line(elapsed time.Duration) string {
	done := int(m.done.Load())
	rate := float64(done) / elapsed.Seconds()
	text := fmt.Sprintf("%d of %d %s, %.0f/s", done, m.total, m.what, rate)
	if done > 0 {
		left := time.Duration(float64(m.total-done) / rate * float64(time.Second))
		text += fmt.Sprintf(", %s left", left.Round(time.Second))
	}
	return text
}

func (m *meter) bar(screen io.Writer) {
	writer := progress.NewWriter()
	writer.SetOutputWriter(screen)
	writer.SetUpdateFrequency(100 * time.Millisecond)
	writer.SetAutoStop(true) // when the tracker is done; Stop is lost before Render has begun
	writer.SetStyle(progress.StyleBlocks)
	writer.Style().Visibility.ETA = true
	writer.Style().Visibility.ETAOverall = false
	writer.Style().Visibility.Speed = true
	writer.Style().Options.TimeInProgressPrecision = 100 * time.Millisecond
	tracker := &progress.Tracker{Message: m.what, Total: int64(m.total), AutoStopDisabled: true}
	tracker.Units.Formatter = func(n int64) string { return strconv.FormatInt(n, 10) }
	writer.AppendTracker(tracker)
	var rendering sync.WaitGroup
	rendering.Go(writer.Render)
	defer rendering.Wait()

	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-m.stopped:
			running = false
		case <-tick.C:
		}
		tracker.SetValue(m.done.Load())
	}
	if m.done.Load() < int64(m.total) {
		tracker.MarkAsErrored()
		return
	}
	tracker.MarkAsDone()
}
