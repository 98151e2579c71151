package stored

import (
	"bytes"
	"errors"
	"fmt"
	"iter"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// Open is what one stream has open: sent commands without an outcome, timers included.
type Open struct {
	Next  int64  // unix microseconds when the first of it is due
	Count uint32 // how many there are
}

// OpenList is a list of the streams that have something open at one place of a journal.
// It is stored in parts, one event each.
type OpenList struct {
	Journal   persistence.JournalID
	Positions persistence.Positions // the place, by partition
	Streams   map[persistence.StreamID]Open
}

// maxPart bounds the streams in one part, in bytes.
const maxPart = persistence.MaxPayload - 4<<10

// Parts yields the payloads of the list's events, in order. All bear the id.
func (l *OpenList) Parts(id persistence.EventID) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		part := &stelev1.OpenSends{Journal: l.Journal[:], Positions: l.Positions, List: id[:]}
		put := func() bool {
			payload, err := proto.Marshal(part)
			if err != nil {
				err = fmt.Errorf("encode part %d: %w", part.GetPart(), err)
			}
			part.Part, part.Streams = part.GetPart()+1, nil
			return yield(payload, err) && err == nil
		}
		size := 0
		for stream, open := range l.Streams {
			// Tags, lengths and numbers take 26 bytes at most.
			if size += len(stream) + 26; size > maxPart {
				if !put() {
					return
				}
				size = len(stream) + 26
			}
			part.Streams = append(part.Streams, &stelev1.OpenSends_Stream{Name: string(stream), Open: open.Count, Next: open.Next})
		}
		part.Last = true
		put()
	}
}

// OpenListReader puts a list together from its events, which it takes backward: the last
// part first. The zero value is ready.
type OpenListReader struct {
	last    *stelev1.OpenSends // without its streams; nil before it
	part    uint32             // the one read last
	streams map[persistence.StreamID]Open
}

// Add takes the part that stands before those taken so far, and returns the list when it
// was the first. Parts of a list whose last one was not written are passed over.
func (r *OpenListReader) Add(event *persistence.Event) (*OpenList, error) {
	part := &stelev1.OpenSends{}
	if err := proto.Unmarshal(event.Payload, part); err != nil {
		return nil, fmt.Errorf("decode a part of the list: %w", err)
	}
	if event.Type != TypeOpenList {
		return nil, fmt.Errorf("%s is no part of a list", event.Type)
	}
	streams := part.Streams
	part.Streams = nil
	switch {
	case part.GetLast():
		*r = OpenListReader{last: part, streams: map[persistence.StreamID]Open{}}
	case r.last == nil:
		return nil, nil //nolint:nilnil // there is no list yet, and no fault
	case !bytes.Equal(part.GetList(), r.last.GetList()) || part.GetPart()+1 != r.part:
		return nil, errors.New("it is not the part that must stand before")
	}
	r.part = part.GetPart()
	for _, s := range streams {
		if s.GetOpen() == 0 {
			return nil, errors.New("it lists a stream with nothing open")
		}
		r.streams[persistence.StreamID(s.GetName())] = Open{s.GetNext(), s.GetOpen()}
	}
	if r.part > 0 {
		return nil, nil //nolint:nilnil // there is no list yet, and no fault
	}
	list := &OpenList{Positions: r.last.GetPositions(), Streams: r.streams}
	if len(r.last.GetJournal()) != len(list.Journal) {
		return nil, errors.New("it names no journal")
	}
	list.Journal = persistence.JournalID(r.last.GetJournal())
	return list, nil
}
