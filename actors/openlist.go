package actors

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// The list of what is open stands in a stream of the system, as events that are its
// parts. Systems on one journal that host the same kinds write to the same stream, each
// part exactly behind the one before, so a list that is complete has nothing of another
// in between. A list is never needed: without one the events of the kinds are read
// from the beginning.
const (
	typeOpenList     = "$stele.open"
	openListCategory = "$open"
)

// openListOf is the stream of the lists for some kinds, which are in order.
func openListOf(kinds []string) persistence.StreamID {
	sum := sha256.Sum256([]byte(strings.Join(kinds, " ")))
	return persistence.StreamID(fmt.Sprintf("%s-%x", openListCategory, sum[:8]))
}

// Sizes of lists.
const (
	// A list is written when it covers so many events more than the last, and so many
	// times what it holds: writing it costs each event next to nothing then, and reading
	// on from it is as cheap as reading it.
	openListEvery = 100_000
	openListTimes = 10

	openPart = persistence.MaxPayload - 4<<10 // bytes of streams in one part
)

// keep writes a list when it pays. One that cannot be written is left out: the next
// one comes.
func (w *sweep) keep(ctx context.Context) {
	covered := sum(w.after)
	if covered-w.kept < max(openListEvery, openListTimes*int64(len(w.open))) {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	w.kept = covered // also when it fails: then somebody else may have written one
	if err := w.write(ctx); err != nil {
		w.system.config.Logger.Info("list of open sends not kept", slog.Any("err", err))
		return
	}
	w.system.stats.openLists.Add(1)
}

func sum(positions persistence.Positions) (events int64) {
	for _, offset := range positions {
		events += offset
	}
	return events
}

// write writes the list and gives up the ones before.
func (w *sweep) write(ctx context.Context) error {
	journal := w.system.config.Journal
	info, err := journal.Stream(ctx, w.list)
	if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
		return err
	}
	id, identity, first := persistence.NewEventID(), journal.Identity(), info.Version+1
	version := info.Version
	part := &stelev1.OpenSends{Journal: identity[:], Positions: w.after, List: id[:]}
	put := func() error {
		payload, err := proto.Marshal(part)
		if err != nil {
			return fmt.Errorf("encode part %d: %w", part.GetPart(), err)
		}
		outcomes, err := w.system.confirmations.append(ctx, journal, persistence.Append{
			Stream: w.list, Expected: persistence.Exact(version), Events: []persistence.Event{{Type: typeOpenList, Payload: payload}},
		})
		if err == nil {
			err = outcomes[0].Err
		}
		version, part.Part, part.Streams = version+1, part.GetPart()+1, nil
		return err
	}
	size := 0
	for stream, open := range w.open {
		// Tags, lengths and numbers take 26 bytes at most.
		if size += len(stream) + 26; size > openPart {
			if err := put(); err != nil {
				return err
			}
			size = len(stream) + 26
		}
		part.Streams = append(part.Streams, &stelev1.OpenSends_Stream{Name: string(stream), Open: open.count, Next: open.next})
	}
	part.Last = true
	if err := put(); err != nil {
		return err
	}
	if first > 1 {
		// What may not be truncated here stays, and is not read.
		if _, err := journal.Truncate(ctx, w.list, first); err != nil {
			w.system.config.Logger.Debug("old lists of open sends not truncated", slog.Any("err", err))
		}
	}
	return nil
}

// load begins with the newest list that is complete and right. An error is that of
// the journal; whatever else is wrong, there is no list.
func (w *sweep) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	head, err := w.system.config.Journal.Head(ctx)
	if err != nil {
		return err
	}
	var list openList
	for recorded, err := range w.system.config.Journal.Read(ctx, w.list, persistence.ReadOptions{Backward: true}) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound):
			return nil
		case err != nil:
			return err
		}
		complete, err := list.add(&recorded)
		if err == nil && complete {
			err = list.check(w.system.config.Journal.Identity(), head, w.kinds)
		}
		switch {
		case err != nil:
			w.system.stats.openListsIgnored.Add(1)
			w.system.config.Logger.Warn("list of open sends ignored", slog.Any("err", err))
			list = openList{}
		case complete:
			w.after, w.kept = list.last.GetPositions(), sum(list.last.GetPositions())
			for stream, open := range list.open {
				w.set(stream, open)
			}
			return nil
		}
	}
	return nil
}

// openList is a list that is read from its end.
type openList struct {
	last *stelev1.OpenSends // without its streams; nil before it
	part uint32             // the one read last
	open map[persistence.StreamID]openSends
}

// add takes the part in front of those before, and reports that it was the first. Parts
// of a list whose last one was not written are passed over.
func (l *openList) add(recorded *persistence.Recorded) (complete bool, err error) {
	part := &stelev1.OpenSends{}
	if err := proto.Unmarshal(recorded.Payload, part); err != nil || recorded.Type != typeOpenList {
		return false, corrupt(recorded, "a list of open sends cannot be decoded", err)
	}
	streams := part.Streams
	part.Streams = nil
	switch {
	case part.GetLast():
		*l = openList{last: part, open: map[persistence.StreamID]openSends{}}
	case l.last == nil:
		return false, nil
	case !bytes.Equal(part.GetList(), l.last.GetList()) || part.GetPart()+1 != l.part:
		return false, corrupt(recorded, "is not the part that must stand before", nil)
	}
	l.part = part.GetPart()
	for _, s := range streams {
		if s.GetOpen() == 0 {
			return false, corrupt(recorded, "lists a stream with nothing open", nil)
		}
		l.open[persistence.StreamID(s.GetName())] = openSends{s.GetNext(), s.GetOpen()}
	}
	return l.part == 0, nil
}

// check returns what makes a complete list one of another journal.
func (l *openList) check(journal persistence.JournalID, head persistence.Positions, kinds []string) error {
	if !bytes.Equal(l.last.GetJournal(), journal[:]) {
		return errors.New("it is of another journal")
	}
	for part, offset := range l.last.GetPositions() {
		if offset < 0 || offset > head.Of(uint16(part)).Offset { //nolint:gosec // a partition
			return fmt.Errorf("it stands at %d of partition %d, behind the end", offset, part)
		}
	}
	for stream := range l.open {
		if !slices.Contains(kinds, stream.Category()) {
			return errors.New("it is for other kinds")
		}
	}
	return nil
}
