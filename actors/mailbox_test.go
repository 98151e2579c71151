package actors

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// handled notes what a mailbox hands over; it stands for the actor and for the
// goroutines that would run it.
type handled struct {
	messages []any
	runs     []func()
}

func (h *handled) InvokeSystemMessage(message any)    { h.messages = append(h.messages, message) }
func (h *handled) InvokeUserMessage(message any)      { h.messages = append(h.messages, message) }
func (h *handled) EscalateFailure(_ any, message any) { h.messages = append(h.messages, message) }
func (h *handled) Schedule(run func())                { h.runs = append(h.runs, run) }
func (h *handled) Throughput() int                    { return 0 }
func (h *handled) run() (messages []any) {
	for len(h.runs) > 0 {
		next := h.runs[0]
		h.runs = h.runs[1:]
		next()
	}
	messages, h.messages = h.messages, nil
	return messages
}

func newMailbox(capacity int) (*mailbox, *handled) {
	m, h := &mailbox{capacity: capacity}, &handled{}
	m.RegisterHandlers(h, h)
	return m, h
}

func TestMailboxOrder(t *testing.T) {
	t.Parallel()
	m, h := newMailbox(10)
	a, b, c := &call{}, &call{}, &call{}
	require.NoError(t, m.offer(a))
	require.NoError(t, m.offer(b))
	m.post("completion 1")
	m.PostSystemMessage(&actor.Started{})
	m.PostUserMessage("completion 2")
	require.NoError(t, m.offer(c))
	require.Len(t, h.runs, 1, "one run at a time")
	require.Equal(t, 3, m.UserMessageCount())

	require.Equal(t, []any{&actor.Started{}, "completion 1", "completion 2", a, b, c}, h.run())
}

// Protoactor suspends and resumes mailboxes for its supervision, which would
// release what is held.
func TestMailboxHold(t *testing.T) {
	t.Parallel()
	m, h := newMailbox(10)
	a, b := &call{}, &call{}
	m.hold(true)
	require.NoError(t, m.offer(a))
	m.PostSystemMessage(&actor.SuspendMailbox{})
	m.PostSystemMessage(&actor.ResumeMailbox{})
	m.refill([]*call{b})
	require.Empty(t, h.run())
	m.post("completion")
	require.Equal(t, []any{"completion"}, h.run())

	m.hold(false)

	require.Equal(t, []any{a, b}, h.run())
	m.hold(false)
	require.Empty(t, h.runs)
}

func TestMailboxBounds(t *testing.T) {
	t.Parallel()
	m, h := newMailbox(2)
	m.hold(true)
	calls := []*call{{}, {}, {}}
	require.NoError(t, m.offer(calls[0]))
	require.NoError(t, m.offer(calls[1]))
	require.ErrorIs(t, m.offer(calls[2]), errFull)
	require.False(t, m.abandoned())
	calls[0].stage.Store(abandoned)
	require.False(t, m.abandoned())
	calls[1].stage.Store(abandoned)
	require.True(t, m.abandoned())

	require.Equal(t, calls[:2], m.close())

	require.False(t, m.abandoned(), "nobody is not somebody who left")
	require.ErrorIs(t, m.offer(calls[2]), errClosed)
	m.hold(false)
	require.Empty(t, h.run())
}

// An aggregate may be ready before the commands that its predecessor left are in
// its mailbox.
func TestMailboxRefill(t *testing.T) {
	t.Parallel()
	m, h := newMailbox(1)
	calls := []*call{{}, {}}

	m.refill(calls) // more than it would take

	require.Equal(t, []any{calls[0], calls[1]}, h.run())
}
