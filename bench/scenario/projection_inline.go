package scenario

import (
	"context"
	"errors"
	"fmt"

	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/persistence"
)

// measureInline measures appends that change a read model in their transaction. Their rate
// is divided by that of appends without one.
func measureInline(ctx context.Context, s *session) error {
	on, ok := s.store.(store.Inliner)
	if !ok {
		return nil
	}
	for _, callers := range []int{16, 256} {
		if err := measureInlineOf(ctx, s, on, callers); err != nil {
			return err
		}
	}
	return nil
}

func measureInlineOf(ctx context.Context, s *session, on store.Inliner, callers int) (err error) {
	const space = "inline"
	j, err := s.store.Open(ctx, space)
	if err != nil {
		return err
	}
	inlined, free, err := on.Inline(ctx, j, space)
	if err != nil {
		return errors.Join(err, j.Close())
	}
	defer func() {
		err = errors.Join(err, inlined.Close())
		free()
		err = errors.Join(err, s.store.Drop(context.WithoutCancel(ctx), space))
	}()
	appending := func(to persistence.Appender) measure.Sample[float64] {
		return func() (float64, error) {
			l, err := load.ClosedLoop(callers, s.scale.window, func(caller, _ int) error {
				outcomes, err := to.Append(ctx, persistence.Append{
					Stream: persistence.StreamID(fmt.Sprint("inline-", caller)), Expected: persistence.Any, Events: []persistence.Event{{Type: load.EventType}},
				})
				if err != nil {
					return err
				}
				return outcomes[0].Err
			})
			return l.Rate(), err
		}
	}
	rounds, err := measure.Beside(s.Sheet, appending(inlined), appending(j))
	if err != nil {
		return err
	}
	s.Against(measure.Metric{
		Name: fmt.Sprintf("append-%d-inline-vs-append", callers), Unit: "events/s",
		Is: "appends/s that change a read model in their transaction, divided by appends/s without one",
	}, measure.Compared(rounds[0], measure.Identity))
	return nil
}
