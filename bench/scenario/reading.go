package scenario

import (
	"context"
	"fmt"
	"time"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// Sizes of what is read.
const (
	replayBatch = 32 // streams read in one call, as the runtime does
	replayers   = 4
)

// reading makes a sample of reading everything, over and over for a time.
func reading(s *session, all func() (int, error)) measure.Sample[float64] {
	return func() (float64, error) {
		l := load.Result{}
		start := time.Now()
		for l.Elapsed < s.scale.window/2 {
			n, err := all()
			if err != nil {
				return 0, err
			}
			l.Count += n
			l.Elapsed = time.Since(start)
		}
		return l.Rate(), nil
	}
}

// readAll reads the global sequence, of so many events, in pages of so many rows.
func readAll(ctx context.Context, j store.Journal, events, rows int) (count int, err error) {
	for page, err := range j.ReadAll(ctx, persistence.ReadAllOptions{PageRows: rows}) {
		if err != nil {
			return count, err
		}
		count += len(page.Events)
	}
	return count, complete(count, events)
}

func complete(count, want int) error {
	if count != want {
		return fmt.Errorf("read %d events of %d", count, want)
	}
	return nil
}
