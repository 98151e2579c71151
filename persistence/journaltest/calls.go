package journaltest

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
)

// everyCall makes every call of a journal and returns the errors by the name of the
// call. Calls that name a stream name this one.
func everyCall(j journal, stream persistence.StreamID) map[string]error {
	errs := everyCallOf(j, stream)
	_, errs["Head"] = j.Head(j.ctx)
	errs["Wait"] = j.Wait(j.ctx, persistence.Positions{1 << 40})
	for _, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{}) {
		errs["ReadAll"] = err
	}
	for _, err := range j.ReadAll(j.ctx, persistence.ReadAllOptions{Backward: true}) {
		errs["ReadAll backward"] = err
	}
	for _, err := range j.List(j.ctx, persistence.ListOptions{}) {
		errs["List"] = err
	}
	for _, err := range j.Categories(j.ctx, persistence.ListOptions{}) {
		errs["Categories"] = err
	}
	if schemas, ok := persistence.As[persistence.Schemas](j.Journal); ok {
		_, errs["RegisterSchema"] = schemas.RegisterSchema(j.ctx, persistence.JSON, []byte("{}"))
		_, errs["Schemas"] = schemas.Schemas(j.ctx)
		_, errs["Uses"] = schemas.Uses(j.ctx)
	}
	if transactor, ok := persistence.As[persistence.Transactor](j.Journal); ok {
		errs["Transact"] = transactor.Transact(j.ctx, func(context.Context, persistence.Transaction) error {
			j.t.Errorf("the body was called although the caller has left")
			return nil
		})
	}
	if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
		_, errs["ReadPages"] = pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: stream, Limit: 1}})
	}
	return errs
}

// everyCallOf makes every call that names a stream.
func everyCallOf(j journal, stream persistence.StreamID) map[string]error {
	errs := everyWriteOf(j, stream)
	_, errs["Read"] = j.read(stream, persistence.ReadOptions{})
	_, errs["Read backward"] = j.read(stream, persistence.ReadOptions{Backward: true})
	_, errs["Count"] = j.Count(j.ctx, stream, persistence.ReadOptions{})
	_, errs["Stream"] = j.Stream(j.ctx, stream)
	if snapshots, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		_, _, errs["LoadSnapshot"] = snapshots.LoadSnapshot(j.ctx, stream)
	}
	return errs
}

// everyWriteOf makes every call that changes a stream.
func everyWriteOf(j journal, stream persistence.StreamID) map[string]error {
	errs := map[string]error{}
	_, errs["Append"] = j.Append(j.ctx, to(stream, persistence.Any, note("n")))
	errs["Create"] = j.Create(j.ctx, stream, nil)
	_, errs["SetMetadata"] = j.SetMetadata(j.ctx, stream, persistence.Metadata{"k": persistence.Int(7)}, persistence.AnyRevision)
	_, errs["Delete"] = j.Delete(j.ctx, stream, persistence.Any)
	_, errs["Truncate"] = j.Truncate(j.ctx, stream, 2)
	if scavenger, ok := persistence.As[persistence.Scavenger](j.Journal); ok {
		_, errs["Scavenge"] = scavenger.Scavenge(j.ctx, stream)
	}
	if snapshots, ok := persistence.As[persistence.Snapshots](j.Journal); ok {
		errs["SaveSnapshot"] = snapshots.SaveSnapshot(j.ctx, persistence.Snapshot{Stream: stream, Version: 1})
		errs["DeleteSnapshot"] = snapshots.DeleteSnapshot(j.ctx, stream)
		_, errs["DeleteSnapshots"] = snapshots.DeleteSnapshots(j.ctx, string(stream), time.Time{})
	}
	return errs
}
