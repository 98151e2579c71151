package actors

import (
	"errors"
	"runtime"
	"sync"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/stele-es/stele/internal/fifo"
)

var (
	errFull   = errors.New("mailbox is full")
	errClosed = errors.New("mailbox is closed")
)

// burst is the number of commands that one aggregate may handle before others get the
// processor.
const burst = 64

// mailbox is the queue of one activation, in place of protoactor's: it refuses
// instead of blocking, and gives back what it still holds when it closes, so
// that no command is lost without an answer. Order in each round: protoactor's
// system messages, completions of our own work, commands.
type mailbox struct {
	mu          sync.Mutex
	system      fifo.Queue[any]
	completions fifo.Queue[any]
	calls       fifo.Queue[*call]
	capacity    int
	running     bool
	held        bool // commands wait, the rest goes on
	closed      bool

	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	process    func()
}

// offer takes a command or refuses it; it never blocks.
func (m *mailbox) offer(c *call) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.closed:
		return errClosed
	case m.calls.Len() >= m.capacity:
		return errFull
	}
	m.calls.Push(c)
	if !m.held {
		m.wake()
	}
	return nil
}

// refill puts commands into the mailbox of a new activation that an earlier one
// had accepted, so there is room for them.
func (m *mailbox) refill(calls []*call) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range calls {
		m.calls.Push(c)
	}
	if !m.held {
		m.wake()
	}
}

// post takes a completion. The work that the activation has under way bounds the posted
// messages, so there is no limit here.
func (m *mailbox) post(completion any) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.completions.Push(completion)
	m.wake()
}

// hold keeps commands back until release.
func (m *mailbox) hold(on bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.held = on
	if !on && m.calls.Len() > 0 {
		m.wake()
	}
}

// waiting is the number of commands not taken yet.
func (m *mailbox) waiting() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls.Len()
}

// abandoned reports that there are commands and that all their callers left.
func (m *mailbox) abandoned() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.calls.Len() {
		if (*m.calls.At(i)).stage.Load() != abandoned {
			return false
		}
	}
	return m.calls.Len() > 0
}

// close refuses further commands and returns those not taken, in order.
func (m *mailbox) close() []*call {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return m.calls.Clear()
}

// wake starts a run unless one is going on. The lock is held.
func (m *mailbox) wake() {
	if !m.running && m.dispatcher != nil {
		m.running = true
		m.dispatcher.Schedule(m.process)
	}
}

// run handles messages until there are none. A handler that ends its goroutine,
// as t.FailNow does, takes this one with it; the rest is then run by another.
func (m *mailbox) run() {
	finished := false
	defer func() {
		if !finished {
			m.dispatcher.Schedule(m.process)
		}
	}()
	for handled := 0; ; {
		message, system := m.next()
		switch {
		case message == nil:
			finished = true
			return
		case system:
			m.invoker.InvokeSystemMessage(message)
		default:
			m.invoker.InvokeUserMessage(message)
		}
		if handled++; handled%burst == 0 {
			runtime.Gosched()
		}
	}
}

// next takes the most urgent message. Nil ends the run.
func (m *mailbox) next() (message any, system bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.system.Len() > 0:
		return m.system.Pop(), true
	case m.completions.Len() > 0:
		return m.completions.Pop(), false
	case m.calls.Len() > 0 && !m.held:
		return m.calls.Pop(), false
	}
	m.running = false
	return nil, false
}

// PostUserMessage fulfils actor.Mailbox; nothing of ours comes this way.
func (m *mailbox) PostUserMessage(message any) { m.post(message) }

// PostSystemMessage fulfils actor.Mailbox.
func (m *mailbox) PostSystemMessage(message any) {
	switch message.(type) {
	case *actor.SuspendMailbox, *actor.ResumeMailbox:
		// Failures are recovered in the activation and never reach protoactor's
		// supervision, whose resume would release our hold.
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.system.Push(message)
	m.wake()
}

// RegisterHandlers fulfils actor.Mailbox.
func (m *mailbox) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.invoker, m.dispatcher, m.process = invoker, dispatcher, m.run
}

// Start fulfils actor.Mailbox.
func (m *mailbox) Start() {}

// UserMessageCount fulfils actor.Mailbox.
func (m *mailbox) UserMessageCount() int { return m.waiting() }

// maxIdleWorkers is the number of goroutines that wait for work: about as many as one commit
// wakes aggregates. More are made when more are needed, and end with it.
const maxIdleWorkers = 512

// dispatcher runs activations on goroutines that are used again. A new one begins
// with a small stack, and to make it larger for each command took a fifth of the time
// of one on the memory journal. An idle activation holds no goroutine.
type dispatcher struct {
	mu     sync.Mutex
	idle   []chan func() // workers without work; the last one works first: its stack is in the cache
	closed bool
}

// Schedule fulfils actor.Dispatcher.
func (d *dispatcher) Schedule(run func()) {
	d.mu.Lock()
	if last := len(d.idle) - 1; last >= 0 {
		next := d.idle[last]
		d.idle = d.idle[:last]
		d.mu.Unlock()
		next <- run // it has room
		return
	}
	d.mu.Unlock()
	go d.work(run) // ends when it is not needed, or with close
}

// Throughput fulfils actor.Dispatcher. Our mailbox does not ask for it.
func (d *dispatcher) Throughput() int { return burst }

// work may end anywhere in run, as t.FailNow does it: it is not among the idle workers then.
func (d *dispatcher) work(run func()) {
	next := make(chan func(), 1)
	for ok := true; ok; run, ok = <-next {
		run()
		if !d.rest(next) {
			return
		}
	}
}

func (d *dispatcher) rest(worker chan func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed || len(d.idle) == maxIdleWorkers {
		return false
	}
	d.idle = append(d.idle, worker)
	return true
}

// close ends the idle workers, and the others when their work is done.
func (d *dispatcher) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	for _, worker := range d.idle {
		close(worker)
	}
	d.idle = nil
}
