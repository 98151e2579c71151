package actors

import (
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/internal/fifo"
	"github.com/stele-es/stele/persistence"
)

// memory is which commands an aggregate knows again, and where their outcomes are
// stored. It is made from the headers of the events, like the state from the
// events, and is as durable as they are: what was decided on it fails together
// with it. A nil memory is empty.
//
// The outcome itself is read from the journal when somebody repeats a command,
// which is rare; a memory holds 40 bytes for each command, and about as much
// again for finding it when there are many.
type memory struct {
	commands fifo.Queue[remembered] // oldest first
	// places finds a command by its id: how many were remembered before it. It is nil
	// while there are few.
	places map[persistence.CommandID]uint64
	gone   uint64 // commands that were forgotten
	stored uint64 // commands of which it is known where they are stored
	course course // of time, as the stream tells it
	// forgotten is the time of the newest one that is gone, in unix seconds. What was
	// asked later than that and is not here was not stored.
	forgotten int64
	// behind is where the newest one that is gone and stored stands. What was sent by a
	// later event and is not here was not stored.
	behind persistence.Position
}

// remembered is a command with an outcome.
type remembered struct {
	id      persistence.CommandID
	version persistence.Version // of the event whose headers hold the outcome
	at      int64               // unix seconds when it was stored
	offset  int64               // of the event in its partition; 0 is not known yet
}

// retention bounds a memory.
type retention struct {
	age   time.Duration
	count int
}

// fewCommands are found faster one by one than in a map.
const fewCommands = 16

// find returns where the outcome of a command is stored.
func (m *memory) find(id persistence.CommandID) (persistence.Version, bool) {
	if m == nil {
		return 0, false
	}
	if m.places != nil {
		place, found := m.places[id]
		if !found {
			return 0, false
		}
		return m.commands.At(int(place - m.gone)).version, true //nolint:gosec // within the queue
	}
	for i := range m.commands.Len() {
		if command := m.commands.At(i); command.id == id {
			return command.version, true
		}
	}
	return 0, false
}

// complete reports that a command would be here if it had been stored: one that was sent
// by an event after the one at this position, or, when that is not known, one born at
// this time. Clocks differ between nodes, and may be wrong; positions do not and are not.
func (m *memory) complete(born time.Time, after persistence.Position) bool {
	switch {
	case m == nil || m.forgotten == 0:
		return true
	case after.Offset == 0:
		return !born.IsZero() && born.Add(-clockSkew).Unix() > m.forgotten
	case m.stored < m.gone:
		return false // what is on its way to the journal may stand anywhere
	}
	return after.Part == m.behind.Part && after.Offset > m.behind.Offset
}

// settle notes where the oldest command is stored of which that was not known.
func (m *memory) settle(at persistence.Position) {
	if m.stored < m.gone {
		m.behind = at
	} else {
		m.commands.At(int(m.stored - m.gone)).offset = at.Offset //nolint:gosec // within the queue
		m.behind.Part = at.Part
	}
	m.stored++
}

// settleAll says that all commands are stored at a position or before.
func (m *memory) settleAll(at persistence.Position) {
	if m == nil {
		return
	}
	m.behind = at
	for i := range m.commands.Len() {
		m.commands.At(i).offset = at.Offset
	}
	m.stored = m.gone + uint64(m.commands.Len()) //nolint:gosec // a length
}

const clockSkew = time.Minute

// add remembers a command and forgets those that the retention does not cover.
func (m *memory) add(command remembered, keep retention) *memory {
	if m == nil {
		m = &memory{}
	}
	if m.places != nil {
		m.places[command.id] = m.gone + uint64(m.commands.Len()) //nolint:gosec // a length
	}
	m.course.note(m.gone+uint64(m.commands.Len()), command.at) //nolint:gosec // a length
	m.commands.Push(command)
	m.forget(keep)
	if m.places == nil && m.commands.Len() > fewCommands {
		m.places = make(map[persistence.CommandID]uint64, 2*fewCommands)
		for i := range m.commands.Len() {
			m.places[m.commands.At(i).id] = m.gone + uint64(i) //nolint:gosec // an index
		}
	}
	return m
}

func (m *memory) forget(keep retention) {
	for m.commands.Len() > keep.count || m.commands.Len() > 0 && m.course.age(m.gone) > int64(keep.age/time.Second) {
		m.forgotten = max(m.forgotten, m.course.high)
		command := m.commands.Pop()
		if m.places[command.id] == m.gone {
			delete(m.places, command.id)
		}
		m.gone++
		m.behind.Offset = max(m.behind.Offset, command.offset)
		m.course.forget(m.gone)
	}
}

// pack is what a snapshot holds of the memory.
func (m *memory) pack() (commands stored.Remembered, forgotten int64) {
	if m == nil {
		return nil, 0
	}
	commands = stored.NewRemembered(m.commands.Len())
	for i := range m.commands.Len() {
		c := m.commands.At(i)
		commands = commands.Append(stored.RememberedCommand{ID: c.id, Version: c.version, At: c.at})
	}
	return commands, m.forgotten
}

// unpack is the memory of a snapshot.
func unpack(commands stored.Remembered, forgotten int64, keep retention) (m *memory) {
	for c := range commands.All() {
		m = m.add(remembered{id: c.ID, version: c.Version, at: c.At}, keep)
	}
	if forgotten > 0 {
		if m == nil {
			m = &memory{}
		}
		m.forgotten = max(m.forgotten, forgotten)
	}
	return m
}
