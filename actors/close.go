package actors

import (
	"context"
	"fmt"
	"time"
)

// tick keeps the coarse clock and lets idle aggregates go, once a second.
func (s *System) tick(ctx context.Context) error {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			s.clock.Store(now.Unix())
			s.passivateIdle(now.Unix())
		case <-ctx.Done():
			return nil
		}
	}
}

// maxStopsPerTick keeps passivation from crowding out commands.
const maxStopsPerTick = 2000

func (s *System) passivateIdle(now int64) {
	stops := 0
	for i := range s.directory.shards {
		for _, a := range s.directory.shards[i].expired(now, s.minIdle, maxStopsPerTick-stops) {
			expired := func() bool { return a.slot.idle(now) && a.slot.expired(now, a.key.kind.idle) }
			if s.passivate(a, expired) {
				stops++
			}
		}
	}
}

// expired lists activations that are idle for longer than their kind allows.
func (s *shard) expired(now int64, minIdle time.Duration, limit int) []*activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []*activation
	for a := s.oldest; a != nil && len(found) < limit && now-a.slot.used > seconds(minIdle); a = a.slot.newer {
		if a.slot.idle(now) && a.slot.expired(now, a.key.kind.idle) {
			found = append(found, a)
		}
	}
	return found
}

func (s *slot) expired(now int64, idle time.Duration) bool { return now-s.used > seconds(idle) }

// seconds rounds up. The coarse clock may be a second behind, which is why idle
// times must be exceeded: nothing expires early.
func seconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

// Close stops the system: new commands are refused as unavailable, those taken
// are decided and answered, the events of the decided ones are stored. When ctx
// ends first, the callers that still wait get unavailable or unknown outcome, and
// the error says how many they were; what the journal still holds then ends when
// the journal lets go. The journal stays open. Close may be called more than once;
// every call waits for the first.
func (s *System) Close(ctx context.Context) error {
	s.close.Do(func() { s.err = s.shutdown(ctx) })
	return s.err
}

func (s *System) shutdown(ctx context.Context) error {
	s.closing.Store(true)
	s.deliverer.shut()
	for i := range s.directory.shards {
		for _, a := range s.directory.shards[i].all() {
			s.passivate(a, func() bool { return true })
		}
	}
	for s.running.Load() > 0 {
		select {
		case <-s.empty:
		case <-ctx.Done():
			err := fmt.Errorf("close with %d commands unanswered: %w", s.inFlight.commands.Load(), context.Cause(ctx))
			close(s.dead)
			go s.release(ctx) // ends with the last call that the journal has not returned from
			return err
		}
	}
	s.release(ctx)
	return nil
}

// release ends everything that the activations needed.
func (s *System) release(ctx context.Context) {
	s.deliverer.stop()
	s.notes.close()
	s.recoveries.stop()
	s.lookups.stop()
	s.confirmations.stop()
	s.snapshots.stop(ctx)
	s.log.close(ctx)
	if s.ownQueue != nil {
		s.ownQueue.Close(ctx)
	}
	s.recoveries.done.Wait()
	s.lookups.done.Wait()
	s.confirmations.done.Wait()
	_ = s.tasks.Stop(context.Background()) //nolint:forbidigo // nothing of it waits for others any more
	s.actors.Shutdown()
	s.dispatcher.close()
}

func (s *shard) all() []*activation {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]*activation, 0, len(s.active))
	for _, a := range s.active {
		all = append(all, a)
	}
	return all
}

// wakeCloser tells Close that the last activation may be gone.
func (s *System) wakeCloser() {
	if s.closing.Load() && s.running.Load() == 0 {
		select {
		case s.empty <- struct{}{}:
		default:
		}
	}
}

// lifetime bounds what a part of the system does in the background, and ends it with the
// part.
type lifetime struct {
	until func(deadline time.Time, cause error) (context.Context, context.CancelFunc)
	end   context.CancelCauseFunc
}

func newLifetime() lifetime {
	ctx, end := context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, which end ends
	return lifetime{end: end, until: func(deadline time.Time, cause error) (context.Context, context.CancelFunc) {
		return context.WithDeadlineCause(ctx, deadline, cause)
	}}
}

// noProgress is the time that one request to the journal may take in the background: a
// page of events, a batch of appends.
const noProgress = 30 * time.Second

var errNoProgress = fmt.Errorf("no answer of the journal within %s", noProgress)

// attempt bounds one request to the journal.
func (l lifetime) attempt() (context.Context, context.CancelFunc) {
	return l.until(time.Now().Add(noProgress), errNoProgress)
}
