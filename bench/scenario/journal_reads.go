package scenario

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// measureReads measures the tail, which reads the global sequence, and the replay, which
// reads stream by stream. Their rates are divided by that of one plain SELECT of all rows.
func measureReads(ctx context.Context, s *session) (err error) {
	const space = "read"
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, j.Close(), s.store.Drop(context.WithoutCancel(ctx), space))
	}()
	if err := load.Fill(j, "bench", s.scale.read, s.rows.Event); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	events := s.scale.read * load.EventsEach
	for _, read := range []struct {
		metric, is string
		all        func() (int, error)
		aim        measure.Aim
	}{
		{"tail-1000", "events/s of the global sequence in pages of 1,000", func() (int, error) { return readAll(ctx, j, events, 1000) }, measure.AtLeast(0.75)},
		{"tail-512", "events/s of the global sequence in pages of 512", func() (int, error) { return readAll(ctx, j, events, 512) }, measure.AtLeast(0.75)},
		{"replay", "events/s of reading stream by stream", func() (int, error) { return replay(ctx, s, j) }, measure.AtLeast(0.25)},
	} {
		ours := reading(s, read.all)
		if err := besideScan(ctx, s, measure.Metric{Name: read.metric, Unit: "events/s", Aim: read.aim, Is: read.is}, space, ours); err != nil {
			return fmt.Errorf("%s: %w", read.metric, err)
		}
	}
	return nil
}

func replay(ctx context.Context, s *session, j store.Journal) (int, error) {
	batches := (s.scale.read + replayBatch - 1) / replayBatch
	var events atomic.Int64
	_, err := load.Once(replayers, batches, func(batch int) error {
		var requests []persistence.PageRequest
		for i := batch * replayBatch; i < min((batch+1)*replayBatch, s.scale.read); i++ {
			requests = append(requests, persistence.PageRequest{Stream: load.StreamName("bench", i), From: 1, Limit: 100})
		}
		pages, err := j.ReadPages(ctx, requests)
		for i := range pages {
			err = errors.Join(err, pages[i].Err)
			events.Add(int64(len(pages[i].Events)))
		}
		return err
	})
	if err != nil {
		return 0, err
	}
	return int(events.Load()), complete(int(events.Load()), s.scale.read*load.EventsEach)
}
