package main

import (
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// paper is a screen that is no terminal.
type paper struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *paper) Write(data []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(data)
}

func TestMeter(t *testing.T) {
	t.Parallel()

	t.Run("prints a line now and then", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			screen := new(paper)
			meter := startMeter(screen, "commits", 100)

			time.Sleep(lineEvery + time.Millisecond)
			meter.add(30)
			time.Sleep(lineEvery)
			meter.add(70)
			meter.stop()

			require.Equal(t, "0 of 100 commits, 0/s\n30 of 100 commits, 8/s, 9s left\n", screen.text.String())
		})
	})

	t.Run("says nothing where there is nothing to do", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			screen := new(paper)
			meter := startMeter(screen, "commits", 0)
			time.Sleep(time.Minute)
			meter.stop()
			require.Empty(t, screen.text.String())
		})
	})

	t.Run("draws a bar with rate and time left", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			screen := new(paper)
			meter := &meter{what: "commits", total: 100, stopped: make(chan struct{})}
			meter.showing.Go(func() { meter.bar(screen) })

			meter.add(20)
			time.Sleep(10 * time.Second)
			meter.add(80)
			meter.stop()

			lines := strings.Split(strings.TrimSpace(screen.text.String()), "\n")
			require.Contains(t, screen.text.String(), "20.00% ║███▒░░░░░░░░░░░░░░║ [20 in 8s; ~ETA: 32s; 2/s] ... commits\n")
			require.Contains(t, lines[len(lines)-1], "commits ... done! [100 in 10s; 10/s]")
		})
	})

	t.Run("shows that the work stopped half way", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			screen := new(paper)
			meter := &meter{what: "commits", total: 100, stopped: make(chan struct{})}
			meter.showing.Go(func() { meter.bar(screen) })

			meter.add(20)
			meter.stop()

			require.Contains(t, screen.text.String(), "commits ... fail!")
		})
	})
}
