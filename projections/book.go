package projections

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// Store keeps the books of projections: which there are, how far their workers
// have come, and what was set aside.
type Store interface {
	// Update runs body in one transaction: all that it did through the book becomes
	// durable when it returns nil, and nothing otherwise. Its error comes back as it
	// is. The transaction may be run again from the start when it collided with
	// another one, and a commit whose outcome is not known is an error of kind
	// [persistence.ErrUnavailable] or [persistence.ErrUnknownOutcome].
	Update(ctx context.Context, body func(ctx context.Context, book Book) error) error
}

// Sequential is the ability of a store whose transactions come one after the other,
// so that who waits for another one inside of a transaction would wait for ever.
type Sequential interface {
	// View is Update for a body that only reads. It waits for no handler.
	View(ctx context.Context, body func(ctx context.Context, book Book) error) error
	// Holds reports whether ctx comes from inside of a transaction of this store.
	Holds(ctx context.Context) bool
}

// Mortal is the ability of a store whose runners are all on one machine: it sees at once
// that the process of one has ended, so that nobody waits for signs of life from it.
type Mortal interface {
	// Live says of this process that it is that of a runner, until release is called or
	// the process ends, however it ends.
	Live(node string) (release func() error, err error)
	// Dead reports that the process of a runner has surely ended, without release.
	Dead(node string) bool
}

// view reads the books in the way that waits least.
func view(ctx context.Context, store Store, body func(context.Context, Book) error) error {
	if able, ok := storeOf(store).(Sequential); ok {
		return able.View(ctx, body)
	}
	return store.Update(ctx, body)
}

// Target is a store together with the read models of type T beside it. Package
// projectionstest proves that one keeps these promises.
type Target[T any] interface {
	Store
	// Transact is Update for a read model: what body did through tx and through the
	// book becomes durable together or not at all.
	Transact(ctx context.Context, body func(ctx context.Context, tx T, book Book) error) error
}

// Book is what stands in the books, inside one transaction. Transactions that
// change the same rows behave as if one came after the other.
//
// A transaction takes the rows of workers last, behind those of read models, so
// that two of them do not wait for each other.
type Book interface {
	// Lock makes other transactions that lock the same projection wait until the end
	// of this one. Whoever reads a registration to change it locks first.
	Lock(ctx context.Context, name string) error
	// Registrations returns the versions of a projection by version, or, for the
	// empty name, those of all by name and version.
	Registrations(ctx context.Context, name string) ([]Registration, error)
	// Register adds a registration, or replaces that of the same name and version.
	Register(ctx context.Context, registration Registration) error
	// Unregister removes a version with its workers and all that was set aside. None
	// is fine.
	Unregister(ctx context.Context, name string, version int) error

	// Workers returns the workers of a version by Low.
	Workers(ctx context.Context, name string, version int) ([]Worker, error)
	// Divide replaces the workers of a version. Their epochs are higher than any
	// before, so that whoever worked until then is fenced.
	Divide(ctx context.Context, name string, version int, workers []Worker) error
	// TakeOver makes the caller the owner of a part: it raises the epoch, sets the
	// node, removes the cause, and returns the row. A part that does not exist is
	// [ErrNotFound].
	TakeOver(ctx context.Context, part PartKey, node string) (Worker, error)
	// Save replaces the checkpoint, Sub, SubOf, State, Cause and Moved of a part, if it
	// still has this epoch and this checkpoint. If not, it is
	// [persistence.ErrFenced], and the caller must not commit.
	Save(ctx context.Context, part PartKey, epoch int64, from tail.Checkpoint, worker Worker) error
	// Fence raises the epochs of all workers of a version and clears their nodes:
	// nothing that they have not committed will ever be.
	Fence(ctx context.Context, name string, version int) error
	// Release clears the node of a part, if it still has this epoch.
	Release(ctx context.Context, part PartKey, epoch int64) error

	// Beat says that a runner is alive: it keeps the number of its last sign of life, in
	// place of the one before.
	Beat(ctx context.Context, node string, beat int64) error
	// Beats returns the last sign of life of every runner, by its node.
	Beats(ctx context.Context) (map[string]int64, error)
	// Forget removes a runner whose last sign of life still is this one. None is fine.
	Forget(ctx context.Context, node string, beat int64) error

	// Park sets an event aside, or replaces what stands at its position.
	Park(ctx context.Context, parked Parked) error
	// Parked returns what was set aside, by position: at most limit behind after.
	Parked(ctx context.Context, name string, version int, after persistence.Position, limit int) ([]Parked, error)
	// Unpark removes one event from there. None is fine.
	Unpark(ctx context.Context, name string, version int, position persistence.Position) error
	// UnparkAll removes all events of a version from there.
	UnparkAll(ctx context.Context, name string, version int) error
}

// Registration is one version of a projection.
type Registration struct {
	Name    string // of the projection
	Version int    // of its definition
	// Stopped is the wish that it does not run.
	Stopped bool
	// Active marks the version that readers use; one of a projection is.
	Active bool
	// Effects says whether the version may do what others see: emit events, and call
	// what is no read model.
	Effects bool
	// Ready says that Setup was run.
	Ready bool
	// Fingerprint names which events the version has chosen since it began, or since its
	// workers were last put to a place.
	Fingerprint string
	// Until is where the workers stop to be divided anew, or, when Switching, to leave
	// the readers and the effects to another version. Zero is nowhere.
	Until tail.Checkpoint
	// Switching says that another version takes over at Until.
	Switching bool
	// Successor is the version that takes over from this one or has done so, 0 for none.
	Successor int
	// Changes counts the wishes, so that a runner sees new ones.
	Changes int64
	// Created is when the version was registered.
	Created time.Time
}

// PartKey names one part of a projection's version: the slices from Low on.
type PartKey struct {
	Name    string // of the projection
	Version int    // of its definition
	Low     int    // the first slice of the part
}

// Worker is how far one part of a projection's version has come: the slices from
// Low to High, without High.
type Worker struct {
	// Low and High are its slices, without High.
	Low, High int
	// Checkpoint is the last place that was applied.
	Checkpoint tail.Checkpoint
	// Sub is how many events were applied of those that came of the stored event SubOf.
	// It serves targets without transactions.
	Sub int
	// SubOf is the stored event behind the checkpoint.
	SubOf persistence.EventID
	// Epoch is the number of the owner. A save of an earlier one is refused.
	Epoch int64
	// State is what a [State] was encoded to.
	State []byte
	// Node is the owner, empty when it has left or a wish has fenced it.
	Node string
	// Cause is why the part has failed, empty when it has not.
	Cause string
	// Moved is when the row was saved last.
	Moved time.Time
}

// Parked is an event that was set aside. The event itself stays in the journal.
type Parked struct {
	Name     string               // of the projection
	Version  int                  // of its definition
	Position persistence.Position // of the event
	Stream   persistence.StreamID // that it stands in
	// EventID is that of the event, zero when it is not known. It tells the event from
	// that of another history at its position.
	EventID persistence.EventID
	// Sub is how many of the events that came of it were applied before.
	Sub int
	// Lane is what must stay in order.
	Lane string
	// Cause is why it has failed; empty when it stands behind another one of its lane.
	Cause string
	// Attempts counts how often it has failed. [Skipped] marks one that was left out
	// for good and holds up nothing.
	Attempts int
	// Retry is the wish to apply it again.
	Retry bool
	// At is when it was set aside.
	At time.Time
}

// Skipped marks a [Parked] event that was left out for good.
const Skipped = -1

// isOf reports whether an event is the one that was set aside.
func (p *Parked) isOf(stored *persistence.Recorded) bool {
	return stored.Stream == p.Stream && (stored.ID == p.EventID || p.EventID == persistence.EventID{})
}
