package postgres

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// breaker answers for a server that is away, so that callers learn it at once
// instead of one by one. It opens after some failures in a row, for a time that
// doubles with every further one. When that is over, or when the server answers
// to a probe, the next append tries.
type breaker struct {
	open atomic.Bool // the fast way past the lock

	mu       sync.Mutex
	failures int
	cause    error
	pause    time.Duration
	until    time.Time
	opened   chan struct{} // closed while it is open
}

const (
	breakerFailures = 5
	breakerPause    = time.Second
	breakerLongest  = 30 * time.Second
	breakerProbe    = time.Second
)

func newBreaker() *breaker { return &breaker{opened: make(chan struct{})} }

// refuse returns an error while the breaker is open.
func (b *breaker) refuse() error {
	if !b.open.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := time.Until(b.until)
	if wait <= 0 {
		return nil // half open
	}
	return b.refusal(wait)
}

func (b *breaker) refusal(wait time.Duration) error {
	return &persistence.UnavailableError{Reason: "the server is away", RetryAfter: wait, Err: b.cause}
}

// failed counts a failure, and opens the breaker when it is one too many or when
// the breaker was half open.
func (b *breaker) failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.cause = public(err)
	if b.failures < breakerFailures || time.Now().Before(b.until) {
		return
	}
	b.pause = min(max(2*b.pause, breakerPause), breakerLongest)
	b.until = time.Now().Add(time.Duration(float64(b.pause) * (0.8 + 0.4*rand.Float64())))
	if b.open.CompareAndSwap(false, true) {
		close(b.opened)
	}
}

// answered lets the next append try at once: the server answers something.
func (b *breaker) answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// worked closes the breaker.
func (b *breaker) worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.cause, b.pause, b.until = 0, nil, 0, time.Time{}
	if b.open.CompareAndSwap(true, false) {
		b.opened = make(chan struct{})
	}
}

// whenOpen returns a channel that is closed once the breaker is open.
func (b *breaker) whenOpen() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}
