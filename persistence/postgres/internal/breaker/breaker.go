// Package breaker answers for a server that is away, so that callers learn it at once
// instead of one by one.
//
//	if err := b.Refuse(); err != nil { … } // away
//	… ask the server …
//	b.Failed(err) // or b.Worked()
//
// A breaker opens after some failures in a row, for a time that doubles with each further
// failure. When that time is over, or when the server has answered a probe, the next
// caller may try.
package breaker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Breaker is a circuit breaker. Use [New].
type Breaker struct {
	isOpen atomic.Bool // the fast way past the lock

	mu       sync.Mutex
	failures int
	cause    error
	pause    time.Duration
	until    time.Time
	opened   chan struct{} // closed while it is open
}

const (
	failuresToOpen = 5
	firstPause     = time.Second
	longestPause   = 30 * time.Second
)

// New returns a breaker that is closed.
func New() *Breaker { return &Breaker{opened: make(chan struct{})} }

// IsOpen reports whether the breaker is open, also when its time is over and the next
// caller may try.
func (b *Breaker) IsOpen() bool { return b.isOpen.Load() }

// Refuse returns [*persistence.UnavailableError] while the breaker is open.
func (b *Breaker) Refuse() error {
	if !b.isOpen.Load() {
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	wait := time.Until(b.until)
	if wait <= 0 {
		return nil // half open
	}
	return &persistence.UnavailableError{Reason: "the server is away", RetryAfter: wait, Err: b.cause}
}

// Failed counts a failure. It opens the breaker when it is one too many, or when the
// breaker was half open. The error is what callers are told, so it must hold nothing
// secret.
func (b *Breaker) Failed(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	b.cause = err
	if b.failures < failuresToOpen || time.Now().Before(b.until) {
		return
	}
	b.pause = min(max(2*b.pause, firstPause), longestPause)
	b.until = time.Now().Add(time.Duration(float64(b.pause) * (0.8 + 0.4*rand.Float64())))
	if b.isOpen.CompareAndSwap(false, true) {
		close(b.opened)
	}
}

// Answered lets the next caller try at once: the server answers something.
func (b *Breaker) Answered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.until = time.Time{}
}

// Worked closes the breaker.
func (b *Breaker) Worked() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures, b.cause, b.pause, b.until = 0, nil, 0, time.Time{}
	if b.isOpen.CompareAndSwap(true, false) {
		b.opened = make(chan struct{})
	}
}

// Opened returns a channel that is closed once the breaker is open.
func (b *Breaker) Opened() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.opened
}
