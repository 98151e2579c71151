package actors

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
)

// Times of the search for strays.
const (
	strayTime = 5 * time.Second // it takes no more, because others' events may be many

	// strayLate is the time after which an overdue command is reported as left behind: a
	// program that hosts the kind would have delivered it.
	strayLate = 2 * sweepEvery
)

// findStrays tells once after a start what aggregates have open whose kind is not hosted
// here: nothing of it is delivered before a program hosts the kind. That is as it should be
// where several programs share a journal, and a fault after a kind was renamed or removed;
// what is overdue tells them apart.
func (s *System) findStrays(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, strayTime)
	defer cancel()
	w := newOpenSearch(s, s.strays)
	err := w.load(bounded)
	if err == nil {
		err = w.read(bounded)
	}
	switch {
	case ctx.Err() != nil:
		return nil
	case err != nil: // what was read may be done in what was not
		s.config.Logger.Info("not looked for what kinds have open that are not hosted here", slog.Any("err", err))
		return nil
	}
	open := map[string]*stored.Open{}
	for stream, of := range w.open {
		all := open[stream.Category()]
		if all == nil {
			all = &stored.Open{Next: math.MaxInt64}
			open[stream.Category()] = all
		}
		all.Count += of.Count
		all.Next = min(all.Next, of.Next)
	}
	for _, kind := range slices.Sorted(maps.Keys(open)) {
		due := time.UnixMicro(open[kind].Next)
		level := slog.LevelInfo
		if time.Since(due) > strayLate {
			level = slog.LevelWarn
		}
		s.config.Logger.LogAttrs(ctx, level, "kind has commands open and is not hosted here", slog.String("kind", kind), slog.Any("err",
			fmt.Errorf("its aggregates have sent %d commands, timers included, that are not done, the first due at %s: a program that hosts the kind delivers them", open[kind].Count, due.UTC().Format(time.RFC3339))))
	}
	return nil
}
