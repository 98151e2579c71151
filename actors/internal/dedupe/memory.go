package dedupe

import (
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// Memory is the newest commands of an aggregate, and where their outcomes are
// stored. It is made from the headers of the events, like the state from the
// events, and is as durable as they are: what was decided on it fails together
// with it. A nil Memory is empty.
//
// The outcome itself is read from the journal when somebody repeats a command,
// which is rare; a Memory holds 40 bytes for each command, and about as much
// again for finding it when there are many.
type Memory struct {
	commands fifo.Queue[remembered] // oldest first
	// places finds a command by its id: how many were remembered before it. It is nil
	// while there are few.
	places map[persistence.CommandID]uint64
	gone   uint64 // commands that were forgotten
	stored uint64 // commands of which it is known where they are stored
	clock  clock  // of the stream
	// forgotten is the time of the newest one that is gone, in unix seconds. A command
	// that was asked later than that and is not here was not stored.
	forgotten int64
	// behind is where the newest one that is gone and stored stands. A command that a
	// later event has sent and that is not here was not stored.
	behind persistence.Position
}

// Command is a command with an outcome, and where it is stored.
type Command = stored.RememberedCommand

type remembered struct {
	Command
	offset int64 // of the event in its partition; 0 is not known yet
}

// Retention bounds a [Memory].
type Retention struct {
	Age   time.Duration
	Count int
}

// fewCommands are found faster one by one than in a map.
const fewCommands = 16

// Find returns where the outcome of a command is stored.
func (m *Memory) Find(id persistence.CommandID) (persistence.Version, bool) {
	if m == nil {
		return 0, false
	}
	if m.places != nil {
		place, found := m.places[id]
		if !found {
			return 0, false
		}
		return m.commands.At(int(place - m.gone)).Version, true //nolint:gosec // within the queue
	}
	for i := range m.commands.Len() {
		if command := m.commands.At(i); command.ID == id {
			return command.Version, true
		}
	}
	return 0, false
}

// Complete reports that a command would be here if it had been stored: one that was sent
// by an event after the one at this position, or, when that is not known, one born at
// this time. Clocks differ between nodes, and may be wrong; positions do not and are not.
func (m *Memory) Complete(born time.Time, after persistence.Position) bool {
	switch {
	case m == nil || m.forgotten == 0:
		return true
	case after.Offset == 0:
		return !born.IsZero() && born.Add(-ClockSkew).Unix() > m.forgotten
	case m.stored < m.gone:
		return false // what is on its way to the journal may stand anywhere
	}
	return after.Part == m.behind.Part && after.Offset > m.behind.Offset
}

// Settle notes where the oldest command is stored of which that was not known.
func (m *Memory) Settle(at persistence.Position) {
	if m.stored < m.gone {
		m.behind = at
	} else {
		m.commands.At(int(m.stored - m.gone)).offset = at.Offset //nolint:gosec // within the queue
		m.behind.Part = at.Part
	}
	m.stored++
}

// SettleAll says that all commands are stored at a position or before.
func (m *Memory) SettleAll(at persistence.Position) {
	if m == nil {
		return
	}
	m.behind = at
	for i := range m.commands.Len() {
		m.commands.At(i).offset = at.Offset
	}
	m.stored = m.gone + uint64(m.commands.Len()) //nolint:gosec // a length
}

// ClockSkew is the greatest difference of the clocks of nodes.
const ClockSkew = time.Minute

// Add remembers a command and forgets those that the retention does not cover.
func (m *Memory) Add(command Command, keep Retention) *Memory {
	if m == nil {
		m = &Memory{}
	}
	if m.places != nil {
		m.places[command.ID] = m.gone + uint64(m.commands.Len()) //nolint:gosec // a length
	}
	m.clock.note(m.gone+uint64(m.commands.Len()), command.At) //nolint:gosec // a length
	m.commands.Push(remembered{Command: command})
	m.forget(keep)
	if m.places == nil && m.commands.Len() > fewCommands {
		m.places = make(map[persistence.CommandID]uint64, 2*fewCommands)
		for i := range m.commands.Len() {
			m.places[m.commands.At(i).ID] = m.gone + uint64(i) //nolint:gosec // an index
		}
	}
	return m
}

func (m *Memory) forget(keep Retention) {
	for m.commands.Len() > keep.Count || m.commands.Len() > 0 && m.clock.age(m.gone) > int64(keep.Age/time.Second) {
		m.forgotten = max(m.forgotten, m.clock.high)
		command := m.commands.Pop()
		if m.places[command.ID] == m.gone {
			delete(m.places, command.ID)
		}
		m.gone++
		m.behind.Offset = max(m.behind.Offset, command.offset)
		m.clock.forget(m.gone)
	}
}

// Encode returns what a snapshot holds of the memory.
func (m *Memory) Encode() (commands stored.Remembered, forgotten int64) {
	if m == nil {
		return nil, 0
	}
	commands = stored.NewRemembered(m.commands.Len())
	for i := range m.commands.Len() {
		commands = commands.Append(m.commands.At(i).Command)
	}
	return commands, m.forgotten
}

// Decode is the reverse of [Memory.Encode].
func Decode(commands stored.Remembered, forgotten int64, keep Retention) (m *Memory) {
	for command := range commands.All() {
		m = m.Add(command, keep)
	}
	if forgotten > 0 {
		if m == nil {
			m = &Memory{}
		}
		m.forgotten = max(m.forgotten, forgotten)
	}
	return m
}
