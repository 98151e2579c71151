package projections

import (
	"context"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
)

// Store stores which projections there are, the checkpoints of their workers, and the
// parked events.
type Store interface {
	// Update runs body in one transaction: when body returns nil, everything that it did
	// through the book becomes durable, and otherwise nothing. The error of body comes
	// back unchanged. The transaction may run again from the start when it collided with
	// another one. A commit of unknown outcome is an error of kind
	// [persistence.ErrUnavailable] or [persistence.ErrUnknownOutcome].
	Update(ctx context.Context, body func(ctx context.Context, book Book) error) error
}

// Sequential is the ability of a store that runs one transaction at a time, so that a
// wait for another transaction inside of one would never end.
type Sequential interface {
	// View is Update for a body that only reads. It waits for no handler.
	View(ctx context.Context, body func(ctx context.Context, book Book) error) error
	// Holds reports whether ctx comes from inside of a transaction of this store.
	Holds(ctx context.Context) bool
}

// Mortal is the ability of a store whose runners are all on one machine to see at once
// that the process of a runner has ended, so that no other runner waits for its signs of
// life.
type Mortal interface {
	// Live marks this process as that of a runner, until release is called or the process
	// ends in any way.
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

// Target is a store together with read models, which handlers change through a T. Package
// projectionstest tests that a target keeps these promises.
type Target[T any] interface {
	Store
	// Transact is Update with a read model: what body did through tx and through the book
	// becomes durable together or not at all.
	Transact(ctx context.Context, body func(ctx context.Context, tx T, book Book) error) error
}

// Book is the content of a [Store] inside one transaction. Transactions that change the
// same rows behave as if they came one after the other.
//
// A transaction locks the rows of workers last, after those of read models, so that two
// transactions do not wait for each other (deadlock).
type Book interface {
	// Lock makes other transactions that lock the same projection wait until the end of
	// this one. A transaction that reads a registration to change it must lock first.
	Lock(ctx context.Context, name string) error
	// Registrations returns the versions of a projection by version, or, for the
	// empty name, those of all by name and version.
	Registrations(ctx context.Context, name string) ([]Registration, error)
	// Register adds a registration, or replaces that of the same name and version.
	Register(ctx context.Context, registration Registration) error
	// Unregister removes a version with its workers and all parked events, if there is
	// one.
	Unregister(ctx context.Context, name string, version int) error

	// Workers returns the workers of a version by Low.
	Workers(ctx context.Context, name string, version int) ([]Worker, error)
	// Divide replaces the workers of a version. Their epochs are higher than all before,
	// so that the earlier workers are fenced.
	Divide(ctx context.Context, name string, version int, workers []Worker) error
	// TakeOver makes the caller the owner of a part: it raises the epoch, sets the
	// node, removes the cause, and returns the row. A part that does not exist is
	// [ErrNotFound].
	TakeOver(ctx context.Context, part PartKey, node string) (Worker, error)
	// Save replaces the checkpoint, Sub, SubOf, State, Cause and Moved of a part, if it
	// still has this epoch and this checkpoint. If not, it is
	// [persistence.ErrFenced], and the caller must not commit.
	Save(ctx context.Context, part PartKey, epoch int64, from tail.Checkpoint, worker Worker) error
	// Fence raises the epochs of all workers of a version and clears their nodes, so that
	// they can no longer commit.
	Fence(ctx context.Context, name string, version int) error
	// Release clears the node of a part, if it still has this epoch.
	Release(ctx context.Context, part PartKey, epoch int64) error

	// Beat stores the number of a runner's last sign of life (heartbeat), in place of the
	// one before.
	Beat(ctx context.Context, node string, beat int64) error
	// Beats returns the last sign of life of every runner, by its node.
	Beats(ctx context.Context) (map[string]int64, error)
	// Forget removes a runner if its last sign of life is still this one.
	Forget(ctx context.Context, node string, beat int64) error

	// Park stores a parked event, or replaces the one at its position.
	Park(ctx context.Context, parked Parked) error
	// Parked returns parked events by position: at most limit of them, behind after.
	Parked(ctx context.Context, name string, version int, after persistence.Position, limit int) ([]Parked, error)
	// Unpark removes one parked event, if there is one.
	Unpark(ctx context.Context, name string, version int, position persistence.Position) error
	// UnparkAll removes all parked events of a version.
	UnparkAll(ctx context.Context, name string, version int) error
}

// Registration is one version of a projection.
type Registration struct {
	Name    string // of the projection
	Version int    // of its definition
	// Stopped says that an operator has stopped it.
	Stopped bool
	// Active marks the version that readers use; one version of each projection has it.
	Active bool
	// Effects says whether the version may emit events and call other systems.
	Effects bool
	// Ready says that Setup was run.
	Ready bool
	// Fingerprint identifies the choice of events of the version since it began, or since
	// [Runner.Seek] or [Runner.Reset] last moved it.
	Fingerprint string
	// Until is the place at which the workers stop, to be divided anew or, when
	// Switching, to hand over to another version. Zero is none.
	Until tail.Checkpoint
	// Switching says that another version takes over at Until.
	Switching bool
	// Successor is the version that takes over from this one or has taken over, 0 for
	// none.
	Successor int
	// Changes counts the requests of operators, so that runners see new ones.
	Changes int64
	// Created is the time at which the version was registered.
	Created time.Time
}

// PartKey names one part of a projection's version: the slices from Low on.
type PartKey struct {
	Name    string // of the projection
	Version int    // of its definition
	Low     int    // the first slice of the part
}

// Worker is the state of one part of a projection's version: of the slices from Low to
// High, without High.
type Worker struct {
	// Low and High bound its slices; High itself is not one of them.
	Low, High int
	// Checkpoint is the place of the last event that was applied.
	Checkpoint tail.Checkpoint
	// Sub is the number of applied events among those that upcasters make of the stored
	// event SubOf. Targets without transactions need it.
	Sub int
	// SubOf is the stored event behind the checkpoint.
	SubOf persistence.EventID
	// Epoch is the number of the owner (a fencing token). A save with an earlier one is
	// refused.
	Epoch int64
	// State is an encoded [State].
	State []byte
	// Node is the owner, empty when it has left or an operator's request has fenced it.
	Node string
	// Cause says why the part has failed; empty when it has not.
	Cause string
	// Moved is the time at which the row was last saved.
	Moved time.Time
}

// Parked is an event that was set aside, as in a dead letter queue. The event itself
// stays in the journal.
type Parked struct {
	Name     string               // of the projection
	Version  int                  // of its definition
	Position persistence.Position // of the event
	Stream   persistence.StreamID // that it stands in
	// EventID is the id of the event, zero when it is not known. By it an event of
	// another history at the same position is not confused with this one.
	EventID persistence.EventID
	// Sub is the number of applied events among those that upcasters make of it.
	Sub int
	// Lane is the lane of the event, whose events stay in order.
	Lane string
	// Cause is the error of its handler; empty when the event waits behind another one of
	// its lane.
	Cause string
	// Attempts counts its failures. [Skipped] marks an event that was left out for good;
	// no event waits behind it.
	Attempts int
	// Retry says that an operator wants it to be applied again.
	Retry bool
	// At is the time at which it was set aside.
	At time.Time
}

// Skipped marks a [Parked] event that was left out for good.
const Skipped = -1

// isOf reports whether an event is the one that was set aside.
func (p *Parked) isOf(stored *persistence.Recorded) bool {
	return stored.Stream == p.Stream && (stored.ID == p.EventID || p.EventID == persistence.EventID{})
}
