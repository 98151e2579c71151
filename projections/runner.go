package projections

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/persistence/upcast"
)

// Config holds the projections of a [Runner], and its limits. Zero fields have the
// defaults named below. The Config of package stele has the same fields, under the same
// names, but for ProveMessages.
type Config struct {
	// Journal is the journal that projections follow and emit to. It is required, and
	// stays open.
	Journal persistence.Journal
	// Projections are the definitions with their targets: each name and version once,
	// all versions of a name in one store.
	Projections []Projection
	// Upcasters turn events that were stored in an old form into those that the
	// handlers know. The default is none.
	Upcasters *upcast.Chain
	// Tailer reads the journal once for all projections here. A tailer that other parts
	// use too must read the journal without upcasters. The default is a new one.
	Tailer *tail.Tailer
	// Placement says which workers of the projections run here. The default is all.
	Placement Placement
	// Node names this process to operators, among those that run the same projections. The
	// default is "node".
	Node string
	// PollInterval is the time after which a request of an operator in another process
	// (stop, reset, delete, switch) is seen at the latest. A worker that is at work sees it
	// at once. The default is one second.
	PollInterval time.Duration
	// TakeOverAfter is the time without a sign of life after which another runner of the
	// same projections takes over from a runner that has a part of one. A runner gives five
	// signs of life in that time. A store on one machine sees at once that a process has
	// ended. It must be the same in all processes. The default is 5 s.
	TakeOverAfter time.Duration
	// Grace is the time for which a handler at work may continue when its projection has to
	// stop. The default is 10 s.
	Grace time.Duration
	// Logger takes the messages for operators. The default is slog.Default().
	Logger *slog.Logger
	// ProveMessages decodes every state, and every event that a projection emits by
	// [Emit], again after it was encoded. When one comes back changed, the projection
	// fails with [persistence.ErrInvalid]. It is for tests, where it finds losses in
	// marshallers of your own; package projectionstest sets it.
	ProveMessages bool

	instance string
}

// Placement says which workers run on this node. It need not be right at every
// moment: of several nodes one has a part, and the others wait for it to leave.
type Placement interface {
	// Owns reports whether a worker, named by its [PartKey], runs here. changed is closed
	// when the answer may have changed; it is nil when the answer never changes.
	Owns(worker string) (owned bool, changed <-chan struct{})
}

// Everywhere is the [Placement] of a single node: all workers run here.
type Everywhere struct{}

// Owns fulfils [Placement].
func (Everywhere) Owns(string) (bool, <-chan struct{}) { return true, nil }

// String is the name that a [Placement] knows the part by.
func (k PartKey) String() string {
	return fmt.Sprintf("$projection-%s@%d/%d", k.Name, k.Version, k.Low)
}

// Runner runs projections and carries out the requests of operators, such as Stop and
// Reset. Use [New]. Its methods may be called from any goroutine, also while it does not
// run; requests then wait in the stores.
type Runner struct {
	config     Config
	hosted     []*hosted    // by name and version
	heartbeats []*heartbeat // one for each store
	queries    sync.Map
	running    atomic.Bool
	ended      chan struct{}
}

// New checks everything at once and does no I/O.
func New(config Config) (*Runner, error) {
	r := &Runner{config: config, ended: make(chan struct{})}
	c := &r.config
	var problems []error
	if c.Journal == nil {
		problems = append(problems, errors.New("no journal: set Config.Journal"))
	}
	problems = append(problems, setDefault("PollInterval", &c.PollInterval, time.Second),
		setDefault("TakeOverAfter", &c.TakeOverAfter, 5*time.Second), setDefault("Grace", &c.Grace, 10*time.Second))
	c.Node = cmp.Or(c.Node, "node")
	c.instance = c.Node + "/" + persistence.NewEventID().String()
	if c.Placement == nil {
		c.Placement = Everywhere{}
	}
	c.Logger = usercode.Logger(c.Logger)
	if c.Tailer == nil && c.Journal != nil {
		c.Tailer = tail.NewTailer(tail.Config{Reader: c.Journal})
	}
	problems = append(problems, c.Upcasters.Prove())
	var names codec.Names
	for _, projection := range c.Projections {
		if projection == nil {
			problems = append(problems, errors.New("a nil projection stands in Config.Projections: take what Into returns"))
			continue
		}
		b := projection.bound()
		if err := b.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		problems = append(problems, r.host(b), names.Add("projection "+projection.Name(), b.events()...))
	}
	if err := persistence.Misconfigured(problems...); err != nil {
		return nil, err
	}
	for store, hosted := range r.byStore() {
		l := &heartbeat{store: store, node: c.instance, limit: c.TakeOverAfter, hosted: hosted, now: make(chan struct{}, 1)}
		r.heartbeats = append(r.heartbeats, l)
		for _, h := range hosted {
			h.heartbeat = l
		}
	}
	for _, h := range r.hosted {
		h.siblings, _ = r.find(h.spec.name) // it is there
	}
	slices.SortFunc(r.hosted, func(a, b *hosted) int {
		return cmp.Or(cmp.Compare(a.spec.name, b.spec.name), cmp.Compare(a.spec.version, b.spec.version))
	})
	return r, nil
}

func setDefault(name string, field *time.Duration, value time.Duration) error {
	if *field < 0 {
		return fmt.Errorf("negative Config.%s: 0 is the default", name)
	}
	*field = cmp.Or(*field, value)
	return nil
}

func (r *Runner) host(b bound) error {
	for _, other := range r.hosted {
		switch {
		case other.spec.name != b.spec().name:
		case other.spec.version == b.spec().version:
			return fmt.Errorf("projection %s version %d is listed twice: remove one, or raise its version", b.spec().name, b.spec().version)
		case storeOf(other.store) != storeOf(b.store()):
			return fmt.Errorf("the versions of projection %s have different stores: give them the same", b.spec().name)
		}
	}
	r.hosted = append(r.hosted, newHosted(b, &r.config, r.config.Tailer))
	return nil
}

// storeOf looks through what is only a way to use a store.
func storeOf(store Store) Store {
	if behind, ok := store.(interface{ behind() Store }); ok {
		return behind.behind()
	}
	return store
}

func (p persisted[S]) behind() Store { return storeOf(p.Store) }
func (e external[T]) behind() Store  { return storeOf(e.Store) }
func (m *Memory[M]) behind() Store   { return m.Books }

// Run runs the projections until ctx ends. It then finishes and saves the current events.
// It returns nil; faults are in the status of the projections. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	if !r.running.CompareAndSwap(false, true) {
		return errors.New("the runner was run before: make another one")
	}
	defer close(r.ended)
	// Others must not take over while the last events are finished.
	var living []lifecycle.Component
	for _, l := range r.heartbeats {
		living = append(living, lifecycle.Component{Name: "signs of life", Run: l.run})
	}
	lives := lifecycle.Start(context.WithoutCancel(ctx), living...)
	components := []lifecycle.Component{{Name: "wishes of other processes", Run: r.poll}}
	for _, h := range r.hosted {
		components = append(components, lifecycle.Component{Name: "projection " + h.spec.name, Run: h.run})
	}
	group := lifecycle.Start(ctx, components...)
	<-group.Done()
	_ = lives.Stop(context.WithoutCancel(ctx)) // they return nil, and soon
	for _, h := range r.hosted {
		h.become(Stopped, nil)
		h.release()
	}
	return group.Err()
}

// poll looks for wishes that others have written down, one query for each store.
func (r *Runner) poll(ctx context.Context) error {
	for ctx.Err() == nil {
		sleep(ctx.Done(), r.config.PollInterval)
		for store, hosted := range r.byStore() {
			var changes map[versionKey]int64
			err := usercode.Call(func() (err error) {
				changes, err = changesOf(ctx, store)
				return err
			})
			if err != nil {
				continue // whoever needs the store says that it is away
			}
			for _, h := range hosted {
				if changes[versionKey{h.spec.name, h.spec.version}] != h.changes() {
					h.recheck()
				}
			}
		}
	}
	return nil
}

func (r *Runner) byStore() map[Store][]*hosted {
	stores := map[Store][]*hosted{}
	for _, h := range r.hosted {
		store := storeOf(h.store)
		stores[store] = append(stores[store], h)
	}
	return stores
}

// changesOf are the numbers of the wishes, 0 for what is not registered.
func changesOf(ctx context.Context, store Store) (map[versionKey]int64, error) {
	changes := map[versionKey]int64{}
	err := view(ctx, store, func(ctx context.Context, book Book) error {
		clear(changes)
		registrations, err := book.Registrations(ctx, "")
		for _, registration := range registrations {
			changes[versionKey{registration.Name, registration.Version}] = registration.Changes
		}
		return err
	})
	return changes, err
}

// find returns the hosted versions of a projection.
func (r *Runner) find(name string) ([]*hosted, error) {
	var found []*hosted
	for _, h := range r.hosted {
		if h.spec.name == name {
			found = append(found, h)
		}
	}
	if len(found) == 0 {
		return nil, &NotFoundError{name}
	}
	return found, nil
}
