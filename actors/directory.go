package actors

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/persistence"
)

// key names an aggregate inside one system.
type key struct {
	kind *definition
	id   string
}

func (k key) stream() persistence.StreamID { return persistence.StreamID(k.kind.kind + "-" + k.id) }

// slot is an activation's place in the directory.
type slot struct {
	busy   atomic.Int64 // commands taken and not answered
	pinned atomic.Int64 // unix time until which it must stay
	pace   pace
	// The rest is protected by the shard's lock.
	used         int64 // unix time of the last command
	newer, older *activation
	stopping     bool
	parked       []*call // commands that came while stopping
}

const shards = 256

// hashOf is the same in every process (FNV-1a, mixed at its end), so that what leaves
// memory for others, and when something is tried again, is not a matter of chance.
func hashOf(text string, n uint64) uint64 {
	h := 14695981039346656037 ^ n
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	h = (h ^ h>>32) * 0x9e3779b97f4a7c15
	return h ^ h>>29
}

// spread is a wait, longer or shorter by up to a fifth, so that those which failed at
// the same time do not all come back at the same time.
func spread(wait time.Duration, of key) time.Duration {
	share := float64(hashOf(of.id, uint64(wait))>>11) / (1 << 53) //nolint:gosec // positive
	return time.Duration(float64(wait) * (0.8 + 0.4*share))
}

// shard is a part of the directory with its own lock, so that aggregates do not
// queue on one. Its list holds the activations by last use.
type shard struct {
	mu             sync.Mutex
	active         map[key]*activation
	newest, oldest *activation
}

type directory struct {
	shards [shards]shard
	active atomic.Int64 // activations that are not stopping
}

func (d *directory) shard(k key) *shard {
	return &d.shards[hashOf(k.id, 0)%shards]
}

func (d *directory) init() {
	for i := range d.shards {
		d.shards[i].active = map[key]*activation{}
	}
}

// add puts a new activation in front of the list.
func (s *shard) add(a *activation, now int64) {
	s.active[a.key] = a
	s.touch(a, now)
}

// touch moves an activation to the front of the list.
func (s *shard) touch(a *activation, now int64) {
	a.slot.used = now
	if s.newest == a {
		return
	}
	s.unlink(a)
	a.slot.older = s.newest
	if s.newest != nil {
		s.newest.slot.newer = a
	}
	s.newest = a
	if s.oldest == nil {
		s.oldest = a
	}
}

func (s *shard) unlink(a *activation) {
	switch {
	case a.slot.newer != nil:
		a.slot.newer.slot.older = a.slot.older
	case s.newest == a:
		s.newest = a.slot.older
	}
	switch {
	case a.slot.older != nil:
		a.slot.older.slot.newer = a.slot.newer
	case s.oldest == a:
		s.oldest = a.slot.newer
	}
	a.slot.newer, a.slot.older = nil, nil
}

// remove takes an activation out and returns the commands parked for it.
func (s *shard) remove(a *activation) []*call {
	s.unlink(a)
	if s.active[a.key] == a {
		delete(s.active, a.key)
	}
	parked := a.slot.parked
	a.slot.parked = nil
	return parked
}

// idle reports that the activation can be stopped without making anybody wait.
func (s *slot) idle(now int64) bool {
	return !s.stopping && s.busy.Load() == 0 && s.pinned.Load() <= now
}

// deliver puts a command into its aggregate's mailbox, activating it if need be.
func (s *System) deliver(c *call) error {
	shard := s.directory.shard(c.key)
	for room := false; ; {
		shard.mu.Lock()
		a := shard.active[c.key]
		switch {
		case s.closing.Load(): // asked under the lock, so that Close sees all that were activated
			shard.mu.Unlock()
			return unavailable(ReasonStopping, nil)
		case a == nil && !room:
			shard.mu.Unlock()
			if !s.makeRoom() {
				return overloaded(ReasonTooManyActive)
			}
			room = true
			continue
		case a == nil:
			a = s.activate(shard, c.key)
		case a.slot.stopping:
			parked := a.slot.park(c, a.mailbox.capacity)
			shard.mu.Unlock()
			if !parked {
				return overloaded(ReasonMailboxFull)
			}
			return nil
		}
		shard.touch(a, s.clock.Load())
		ahead := a.slot.busy.Add(1) - 1
		shard.mu.Unlock()
		if err := a.slot.pace.check(ahead, c); err != nil {
			a.slot.busy.Add(-1)
			return err
		}
		err := a.mailbox.offer(c)
		if err == nil {
			return nil
		}
		a.slot.busy.Add(-1)
		if err == errFull { //nolint:errorlint // ours, never wrapped
			return overloaded(ReasonMailboxFull)
		}
	}
}

// park keeps a command for the next activation, if there is room. The shard is
// locked.
func (s *slot) park(c *call, capacity int) bool {
	if len(s.parked) >= capacity {
		return false
	}
	s.parked = append(s.parked, c)
	return true
}

// activate starts the actor of an aggregate. The shard is locked.
func (s *System) activate(shard *shard, k key) *activation {
	a := &activation{system: s, key: k, stream: persistence.StreamID(k.kind.kind + "-" + k.id), held: true}
	a.mailbox.capacity, a.mailbox.held = s.config.Mailbox, true
	shard.add(a, s.clock.Load())
	s.directory.active.Add(1)
	s.running.Add(1)
	s.spawn(a)
	return a
}

// makeRoom brings the number of live aggregates below its limit by stopping those
// that have not been used for long. When all are busy it lets ten per cent more in.
func (s *System) makeRoom() bool {
	for s.directory.active.Load() >= int64(s.config.MaxActive) {
		if !s.evict() {
			return s.directory.active.Load() <= int64(s.config.MaxActive+s.config.MaxActive/10)
		}
	}
	return true
}

// evict stops one aggregate that is idle, unless there is none.
func (s *System) evict() bool {
	now := s.clock.Load()
	for {
		victim := s.victim(now)
		if victim == nil {
			return false
		}
		if s.passivate(victim, func() bool { return victim.slot.idle(now) }) {
			return true
		}
		// Somebody was faster, to use it or to evict it: there is progress.
	}
}

// candidates is the number of aggregates that an eviction compares. The oldest of a
// sample is nearly the oldest of all, and needs no list over all shards.
const candidates = 5

func (s *System) victim(now int64) *activation {
	var victim *activation
	used, found := int64(0), 0
	start := int(s.cursor.Add(1))
	for i := 0; i < shards && found < candidates; i++ {
		shard := &s.directory.shards[(start+i*31)%shards]
		shard.mu.Lock()
		for a := shard.oldest; a != nil; a = a.slot.newer {
			if a.slot.idle(now) {
				if found++; victim == nil || a.slot.used < used {
					victim, used = a, a.slot.used
				}
				break
			}
		}
		shard.mu.Unlock()
	}
	return victim
}

type stop struct{}

// passivate begins to stop an activation if the condition still holds: from here
// on its commands are parked until it is gone.
func (s *System) passivate(a *activation, condition func() bool) bool {
	shard := s.directory.shard(a.key)
	shard.mu.Lock()
	stopping := !a.slot.stopping && condition()
	if stopping {
		a.slot.stopping = true
		s.directory.active.Add(-1)
	}
	shard.mu.Unlock()
	if stopping {
		a.mailbox.post(&stop{})
	}
	return stopping
}

// markStopping does the same for an activation that stops by itself.
func (s *System) markStopping(a *activation) {
	shard := s.directory.shard(a.key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if !a.slot.stopping {
		a.slot.stopping = true
		s.directory.active.Add(-1)
	}
}

// park keeps commands that reached the mailbox in the moment of its closing.
func (s *System) park(a *activation, calls []*call) {
	shard := s.directory.shard(a.key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a.slot.parked = append(calls, a.slot.parked...)
}

// gone takes a stopped activation out, and starts the next one if somebody asked
// for it meanwhile. Only here can a successor begin, so there are never two.
func (s *System) gone(a *activation) {
	shard := s.directory.shard(a.key)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	parked := shard.remove(a)
	s.stats.passivations.Add(1)
	if len(parked) > 0 {
		s.succeed(shard, a.key, parked)
	}
	s.running.Add(-1) // after the successor was counted, or Close would not wait for it
	s.wakeCloser()
}

// succeed starts an activation for commands that an earlier one left. The shard
// is locked.
func (s *System) succeed(shard *shard, k key, parked []*call) {
	next := s.activate(shard, k)
	next.slot.busy.Add(int64(len(parked)))
	next.mailbox.refill(parked)
	if s.closing.Load() {
		next.slot.stopping = true
		s.directory.active.Add(-1)
		next.mailbox.post(&stop{})
	}
}

type retry struct{}

// Retry ends the quarantine of an aggregate, the wait before it is read again, and the
// back-off of its sent commands, [Parked] or not. Operators call it after they have
// removed the cause. It reports false when there is nothing to end, because the aggregate
// is not in memory and no sent command of it waits.
func (s *System) Retry(kind, id string) bool {
	d := s.definitions[kind]
	if d == nil {
		return false
	}
	found := s.deliverer.clearBackoffs(key{d, id})
	shard := s.directory.shard(key{d, id})
	shard.mu.Lock()
	defer shard.mu.Unlock()
	a := shard.active[key{d, id}]
	if a == nil || a.slot.stopping {
		return found
	}
	a.mailbox.post(&retry{})
	return true
}
