package journaltest

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// deadlines are cases of a [persistence.Transactor]: callers wait for transactions of
// others.
var deadlines = cases{
	"no caller waits for a transaction beyond its own deadline": deadlinesHold,
}

// deadline is the time that callers have. After late they must have an answer, also on a
// busy machine.
const (
	deadline = 200 * time.Millisecond
	late     = 5 * time.Second
)

// deadlinesHold makes every call that may wait, beside a transaction that blocks all
// writers and does not end before them.
func deadlinesHold(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("busy-1", 3)
	begun, leave, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	go func() { // ends below
		ended <- transact(j, func(_ context.Context, tx persistence.Transaction) error {
			_, err := tx.Append(to("held-1", persistence.NoStream, note("held")))
			close(begun)
			<-leave
			return err
		})
	}()
	<-begun

	var callers errgroup.Group
	for name, call := range waitingCalls(j, "busy-1") {
		callers.Go(func() error {
			ctx, cancel := context.WithTimeout(j.ctx, deadline)
			defer cancel()
			answered := make(chan error, 1)
			go func() { answered <- call(ctx) }() // ends with the transaction at the latest
			timer := time.NewTimer(late)
			defer timer.Stop()
			select {
			case err := <-answered:
				away := errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome) || errors.Is(err, context.DeadlineExceeded)
				if err != nil && !away {
					t.Errorf("%s: %v", name, err)
				}
			case <-timer.C:
				t.Errorf("%s waited for the transaction, beyond its deadline", name)
			}
			return nil
		})
	}
	require.NoError(t, callers.Wait())
	close(leave)
	require.NoError(t, <-ended)
	j.store("after-1", persistence.NoStream, note("after"))
}

// waitingCalls are all calls of a journal that may wait for others, by their names.
func waitingCalls(j journal, stream persistence.StreamID) map[string]func(context.Context) error {
	calls := map[string]func(context.Context) error{
		"Append": func(ctx context.Context) error {
			outcomes, err := j.Append(ctx, to("late-1", persistence.Any, note("late")))
			if err == nil {
				err = outcomes[0].Err
			}
			return err
		},
		"Create": func(ctx context.Context) error { return j.Create(ctx, "late-2", nil) },
		"SetMetadata": func(ctx context.Context) error {
			_, err := j.SetMetadata(ctx, stream, persistence.Metadata{"k": persistence.Int(7)}, persistence.AnyRevision)
			return err
		},
		"Truncate": func(ctx context.Context) error { _, err := j.Truncate(ctx, stream, 2); return err },
		"Read": func(ctx context.Context) error {
			_, err := collect(j.Read(ctx, stream, persistence.ReadOptions{}))
			return err
		},
		"Count":  func(ctx context.Context) error { _, err := j.Count(ctx, stream, persistence.ReadOptions{}); return err },
		"Stream": func(ctx context.Context) error { _, err := j.Stream(ctx, stream); return err },
		"Head":   func(ctx context.Context) error { _, err := j.Head(ctx); return err },
		"Wait":   func(ctx context.Context) error { return j.Wait(ctx, persistence.Positions{1 << 40}) },
		"ReadAll": func(ctx context.Context) (err error) {
			for _, err = range j.ReadAll(ctx, persistence.ReadAllOptions{}) {
				continue
			}
			return err
		},
		"List": func(ctx context.Context) (err error) {
			for _, err = range j.List(ctx, persistence.ListOptions{}) {
				continue
			}
			return err
		},
		"Categories": func(ctx context.Context) (err error) {
			for _, err = range j.Categories(ctx, persistence.ListOptions{}) {
				continue
			}
			return err
		},
		"Transact": func(ctx context.Context) error {
			return ability[persistence.Transactor](j.Journal).Transact(ctx, func(_ context.Context, tx persistence.Transaction) error {
				_, err := tx.Append(to("late-3", persistence.Any, note("late")))
				return err
			})
		},
	}
	addAbilities(j, stream, calls)
	return calls
}

// addAbilities adds the calls of the optional abilities that the journal has.
func addAbilities(j journal, stream persistence.StreamID, calls map[string]func(context.Context) error) {
	if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
		calls["ReadPages"] = func(ctx context.Context) error {
			_, err := pages.ReadPages(ctx, []persistence.PageRequest{{Stream: stream, Limit: 1}})
			return err
		}
	}
	if scavenger, ok := persistence.As[persistence.Scavenger](j.Journal); ok {
		calls["Scavenge"] = func(ctx context.Context) error { _, err := scavenger.Scavenge(ctx, stream); return err }
	}
	if importer, ok := persistence.As[persistence.Importer](j.Journal); ok {
		imported := persistence.Recorded{Stream: "late-4", Version: 1, At: time.Now(), Event: note("late")}
		imported.ID = persistence.NewEventID()
		calls["Import"] = func(ctx context.Context) error {
			_, err := importer.Import(ctx, []persistence.Recorded{imported})
			return err
		}
		calls["ImportStreams"] = func(ctx context.Context) error {
			return importer.ImportStreams(ctx, []persistence.StreamInfo{{Stream: "late-5", First: 1, Begin: 1, Revision: 1, Metadata: persistence.Metadata{"k": persistence.Int(7)}}})
		}
	}
	if snapshots, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		calls["SaveSnapshot"] = func(ctx context.Context) error {
			return snapshots.SaveSnapshot(ctx, persistence.Snapshot{Stream: stream, Version: 3})
		}
		calls["LoadSnapshot"] = func(ctx context.Context) error { _, _, err := snapshots.LoadSnapshot(ctx, stream); return err }
		calls["DeleteSnapshot"] = func(ctx context.Context) error { return snapshots.DeleteSnapshot(ctx, stream) }
		calls["DeleteSnapshots"] = func(ctx context.Context) error {
			_, err := snapshots.DeleteSnapshots(ctx, "busy", time.Time{})
			return err
		}
	}
	if schemas, ok := persistence.As[persistence.Schemas](j.Journal); ok {
		calls["RegisterSchema"] = func(ctx context.Context) error {
			_, err := schemas.RegisterSchema(ctx, persistence.JSON, []byte(`{"late":1}`))
			return err
		}
		calls["Schemas"] = func(ctx context.Context) error { _, err := schemas.Schemas(ctx); return err }
		calls["Uses"] = func(ctx context.Context) error { _, err := schemas.Uses(ctx); return err }
	}
	if checker, ok := persistence.As[persistence.Checker](j.Journal); ok {
		calls["Check"] = func(ctx context.Context) error {
			_, err := checker.Check(ctx, persistence.CheckOptions{Full: true})
			return err
		}
	}
}
