package actors

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// The list of what is open stands in a stream of the system, as events that are its
// parts. Systems on one journal that host the same kinds write to the same stream, each
// part exactly behind the one before, so a list that is complete has nothing of another
// in between. A list is never needed: without one the events of the kinds are read
// from the beginning.
const openListCategory = "$open"

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
)

// keep writes a list when it pays. One that cannot be written is left out: the next
// one comes.
func (w *openSearch) keep(ctx context.Context) {
	covered := sum(w.after)
	if covered-w.kept < max(openListEvery, openListTimes*int64(len(w.open))) {
		return
	}
	ctx, cancel := context.WithTimeoutCause(ctx, noProgress, errNoProgress)
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
func (w *openSearch) write(ctx context.Context) error {
	journal := w.system.config.Journal
	info, err := journal.Stream(ctx, w.list)
	if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
		return err
	}
	first := info.Version + 1
	version := info.Version
	list := stored.OpenList{Journal: journal.Identity(), Positions: w.after, Streams: w.open}
	for payload, err := range list.Parts(persistence.NewEventID()) {
		if err != nil {
			return err
		}
		outcomes, err := w.system.confirmations.append(ctx, journal, persistence.Append{
			Stream: w.list, Expected: persistence.Exact(version), Events: []persistence.Event{{Type: stored.TypeOpenList, Payload: payload}},
		})
		if err == nil {
			err = outcomes[0].Err
		}
		if err != nil {
			return err
		}
		version++
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
func (w *openSearch) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, noProgress, errNoProgress)
	defer cancel()
	head, err := w.system.config.Journal.Head(ctx)
	if err != nil {
		return err
	}
	var reader stored.OpenListReader
	for recorded, err := range w.system.config.Journal.Read(ctx, w.list, persistence.ReadOptions{Backward: true}) {
		switch {
		case errors.Is(err, persistence.ErrStreamNotFound):
			return nil
		case err != nil:
			return err
		}
		list, err := reader.Add(&recorded.Event)
		if err == nil && list != nil {
			err = w.checkList(list, head)
		}
		switch {
		case err != nil:
			w.system.stats.openListsIgnored.Add(1)
			w.system.config.Logger.Warn("list of open sends ignored", slog.Any("err", corrupt(&recorded, "a list of open sends", err)))
			reader = stored.OpenListReader{}
		case list != nil:
			w.after, w.kept = list.Positions, sum(list.Positions)
			for stream, open := range list.Streams {
				w.set(stream, open)
			}
			return nil
		}
	}
	return nil
}

// checkList returns what makes a complete list one of another journal, or of other kinds.
func (w *openSearch) checkList(list *stored.OpenList, head persistence.Positions) error {
	if list.Journal != w.system.config.Journal.Identity() {
		return errors.New("it is of another journal")
	}
	for part, offset := range list.Positions {
		if offset < 0 || offset > head.Of(uint16(part)).Offset { //nolint:gosec // a partition
			return fmt.Errorf("it stands at %d of partition %d, behind the end", offset, part)
		}
	}
	for stream := range list.Streams {
		if !slices.Contains(w.kinds, stream.Category()) {
			return errors.New("it is for other kinds")
		}
	}
	return nil
}
