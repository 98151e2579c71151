package stored

import (
	"encoding/binary"
	"errors"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Snapshot is the stored state of an aggregate at a version.
type Snapshot struct {
	State      []byte     // as the definition encodes it
	Remembered Remembered // the commands that are known again
	Forgotten  int64      // unix seconds of the newest command that is not known any more
	Open       []*Sent    // sent commands without an outcome, each from [Keep], in order
	Reacted    []Place    // the last event reacted to, of each partition
}

// Encode returns the snapshot as a journal keeps it.
func (s *Snapshot) Encode() ([]byte, error) {
	message := stelev1.Snapshot{State: s.State, Remembered: s.Remembered, Forgotten: s.Forgotten, Open: s.Open}
	for _, place := range s.Reacted {
		message.Reacted = append(message.Reacted, place.message())
	}
	return proto.Marshal(&message)
}

// ReadSnapshot is the reverse of [Snapshot.Encode].
func ReadSnapshot(data []byte) (s Snapshot, err error) {
	var message stelev1.Snapshot
	if err := proto.Unmarshal(data, &message); err != nil {
		return s, err
	}
	if len(message.GetRemembered())%rememberedSize != 0 {
		return s, errors.New("commands of another length")
	}
	s = Snapshot{State: message.GetState(), Remembered: message.GetRemembered(), Forgotten: message.GetForgotten(), Open: message.GetOpen()}
	for _, place := range message.GetReacted() {
		s.Reacted = append(s.Reacted, placeOf(place))
	}
	return s, nil
}

// Remembered are the commands that an aggregate knows again, encoded, oldest first.
type Remembered []byte

const rememberedSize = 16 + 8 + 8

// NewRemembered returns none, with room for as many as count.
func NewRemembered(count int) Remembered { return make(Remembered, 0, rememberedSize*count) }

// RememberedCommand is a command with an outcome.
type RememberedCommand struct {
	ID      persistence.CommandID
	Version persistence.Version // of the event whose headers hold the outcome
	At      int64               // unix seconds when it was stored
}

// Append adds a command.
func (r Remembered) Append(c RememberedCommand) Remembered {
	r = append(r, c.ID[:]...)
	r = binary.BigEndian.AppendUint64(r, uint64(c.Version))
	return binary.BigEndian.AppendUint64(r, uint64(c.At)) //nolint:gosec // a number of any sign
}

// All yields the commands in order.
func (r Remembered) All() iter.Seq[RememberedCommand] {
	return func(yield func(RememberedCommand) bool) {
		for ; len(r) >= rememberedSize; r = r[rememberedSize:] {
			c := RememberedCommand{
				ID:      persistence.CommandID(r[:16]),
				Version: persistence.Version(binary.BigEndian.Uint64(r[16:])),
				At:      int64(binary.BigEndian.Uint64(r[24:])), //nolint:gosec // a number of any sign
			}
			if !yield(c) {
				return
			}
		}
	}
}
