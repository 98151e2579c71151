package projections

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Projection is a definition together with its target, ready to be run: see
// [Definition.Into].
type Projection interface {
	// Name is the projection's name.
	Name() string
	bound() bound
}

// Types returns the types of the events that a projection handles one by one.
func Types(projection Projection) []*codec.Type { return projection.bound().events() }

// bound is a projection as the runner needs it, without the type of its target.
type bound interface {
	spec() *spec
	check() error
	// events are the types that it knows.
	events() []*codec.Type
	store() Store
	unit(*worker) unit
	// once runs a function of the definition, if it has it, and change, in one
	// transaction.
	once(ctx context.Context, what occasion, change func(context.Context, Book) error) error
	// has says whether the definition has a function for the occasion, or needs none.
	has(what occasion) bool
	// keepsState says whether a [State] is saved with the checkpoint.
	keepsState() bool
	// effectful says whether events have effects beside the read model.
	effectful() bool
}

type occasion uint8

const (
	atSetup occasion = iota
	atTruncate
	atDrop
	atActivate
)

// unit applies events in the way of its target.
type unit interface {
	// apply deals with the events of a batch until it says that it is enough, and
	// saves. After an error of the target nothing is durable, or it is not known. After
	// an [*EventError] the events before it are durable exactly when the batch says so
	// by what it saved.
	apply(ctx context.Context, b *batch) error
}

// Into binds the definition to a target. A target of another type does not compile.
func (d *Definition[T]) Into(target Target[T]) Projection { return &boundTo[T]{d, target} }

type boundTo[T any] struct {
	d      *Definition[T]
	target Target[T]
}

// Name fulfils [Projection].
func (b *boundTo[T]) Name() string { return b.d.name }

func (b *boundTo[T]) bound() bound { return b }
func (b *boundTo[T]) spec() *spec  { return &b.d.spec }
func (b *boundTo[T]) store() Store { return b.target }

func (b *boundTo[T]) events() (all []*codec.Type) {
	for _, eventType := range b.d.types {
		all = append(all, b.d.handlers[eventType].event)
	}
	return all
}

func (b *boundTo[T]) check() error {
	if isNil(b.target) {
		return fmt.Errorf("projection %s has a nil target: give Into what a target package opens", b.d.name)
	}
	if isNil(storeOf(b.target)) {
		return fmt.Errorf("projection %s has a nil store: give Persist or External one, such as a target", b.d.name)
	}
	if memory, ok := b.target.(interface{ empty() bool }); ok && memory.empty() {
		return fmt.Errorf("projection %s has a nil model: give InMemory one", b.d.name)
	}
	problem := b.d.check()
	if target, ok := b.target.(interface{ IdleLimit() time.Duration }); ok && b.d.timed && b.d.timeout >= target.IdleLimit() {
		problem = errors.Join(problem, fmt.Errorf("projection %s: a Timeout of %s is not below the IdleTimeout of its target, %s, at which the server ends the transaction: raise that", b.d.name, b.d.timeout, target.IdleLimit()))
	}
	state, ok := b.target.(stateful[T])
	if ok && b.d.workers > 1 {
		problem = errors.Join(problem, fmt.Errorf("projection %s: a state has one worker: leave Workers out", b.d.name))
	}
	if ok {
		if err := state.check(); err != nil {
			problem = errors.Join(problem, fmt.Errorf("projection %s: its state: %w", b.d.name, err))
		}
	}
	return problem
}

// isNil also finds a nil pointer in an interface.
func isNil(store Store) bool {
	value := reflect.ValueOf(store)
	return !value.IsValid() || value.Kind() == reflect.Pointer && value.IsNil()
}

func (b *boundTo[T]) function(what occasion) func(context.Context, T) error {
	return [...]func(context.Context, T) error{b.d.setup, b.d.truncate, b.d.drop, b.d.activate}[what]
}

func (b *boundTo[T]) has(what occasion) bool {
	_, state := b.target.(stateful[T]) // is part of the row
	return state || b.function(what) != nil
}

func (b *boundTo[T]) keepsState() bool {
	_, state := b.target.(stateful[T])
	return state
}

func (b *boundTo[T]) effectful() bool {
	if sink, ok := b.target.(sink[T]); ok {
		return sink.outward()
	}
	_, state := b.target.(stateful[T]) // may emit
	return state
}

func (b *boundTo[T]) unit(w *worker) unit {
	switch target := b.target.(type) {
	case stateful[T]:
		return &stateUnit[T]{bound: b, target: target, worker: w}
	case sink[T]:
		return &sinkUnit[T]{bound: b, target: target}
	}
	return &transaction[T]{b}
}

func (b *boundTo[T]) once(ctx context.Context, what occasion, change func(context.Context, Book) error) error {
	err := usercode.Call(func() error { return b.change(ctx, what, change) })
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // not what the function has wrapped
		return &definitionError{ended}
	}
	return err
}

func (b *boundTo[T]) change(ctx context.Context, what occasion, change func(context.Context, Book) error) error {
	do := b.function(what)
	if do == nil {
		return b.target.Update(ctx, change)
	}
	return b.target.Transact(ctx, func(ctx context.Context, tx T, book Book) error {
		if err := do(within(ctx, b.d.name), tx); err != nil { // before rows of the book are locked
			return err
		}
		return change(ctx, book)
	})
}

// transaction applies events in the transaction that saves them.
type transaction[T any] struct{ bound *boundTo[T] }

func (u *transaction[T]) apply(ctx context.Context, b *batch) error {
	bounded, cancel := context.WithTimeoutCause(ctx, pageTime+b.spec.timeout+targetTime, errTarget)
	defer cancel()
	err := b.survive(func() error {
		return u.bound.target.Transact(bounded, func(ctx context.Context, tx T, book Book) error {
			b.rewind()
			if err := b.deals(ctx, func(ctx context.Context, recorded *persistence.Recorded) error {
				return u.bound.d.handle(ctx, tx, recorded)
			}); err != nil {
				return err
			}
			b.sub = 0 // all or nothing
			return b.save(ctx, book, nil)
		})
	})
	return b.blamed(ctx, err)
}

// sink is a target without transactions: each event has its effect at once.
type sink[T any] interface {
	Target[T]
	// use calls handle with what handlers write to.
	use(ctx context.Context, recorded *persistence.Recorded, handle func(context.Context, T, *persistence.Recorded) error) error
	outward() bool
}

// sinkUnit applies first and saves then, so a crash in between repeats events, and
// loses none.
type sinkUnit[T any] struct {
	bound  *boundTo[T]
	target sink[T]
}

func (u *sinkUnit[T]) apply(ctx context.Context, b *batch) error {
	b.rewind()
	handle := u.bound.d.handle
	failure := b.survive(func() error {
		return b.deals(ctx, func(ctx context.Context, recorded *persistence.Recorded) error {
			if u.target.outward() && !b.effects {
				return nil // the active version has done it
			}
			return u.target.use(ctx, recorded, handle)
		})
	})
	if b.done == 0 && b.sub == b.row.Sub && failure != nil {
		return failure
	}
	bounded, cancel := context.WithTimeoutCause(ctx, targetTime, errTarget)
	defer cancel()
	err := u.target.Update(bounded, func(ctx context.Context, book Book) error { return b.save(ctx, book, nil) })
	if err != nil {
		return err
	}
	b.kept = failure != nil
	return failure
}

// stateful is a target whose T is made of the worker's row, and saved in it.
type stateful[T any] interface {
	Target[T]
	// check returns what would not come back of a state.
	check() error
	// load reads a state. One that proves itself is decoded again whenever it, or what it
	// emits, is encoded.
	load(state []byte, proving bool) (T, error)
	// store returns the state's new form, and what was emitted since the last time.
	store(T) ([]byte, []emission, error)
	// begin tells the state which event it is given.
	begin(to T, name string, recorded *persistence.Recorded)
}

// stateUnit keeps the state in memory between batches. After any error it is
// loaded again as it was saved last.
type stateUnit[T any] struct {
	bound  *boundTo[T]
	target stateful[T]
	worker *worker
	loaded bool
	state  T
}

func (u *stateUnit[T]) apply(ctx context.Context, b *batch) error {
	err := u.attempt(ctx, b)
	if err != nil {
		u.loaded = false
	}
	return err
}

func (u *stateUnit[T]) attempt(ctx context.Context, b *batch) error {
	b.rewind()
	var state []byte
	var emissions []emission
	err := b.survive(func() (err error) {
		if !u.loaded {
			if u.state, err = u.target.load(u.worker.row.State, u.worker.host.config.ProveMessages); err != nil {
				return err
			}
			u.loaded = true
		}
		if err := b.deals(ctx, func(ctx context.Context, recorded *persistence.Recorded) error {
			u.target.begin(u.state, u.bound.d.name, recorded)
			return u.bound.d.handle(ctx, u.state, recorded)
		}); err != nil {
			return err
		}
		b.sub = 0
		state, emissions, err = u.target.store(u.state)
		return err
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, targetTime, errTarget)
	defer cancel()
	// Emissions first: a crash behind them repeats them under the same ids, which the
	// journal recognises. The other way round it would lose them.
	if b.effects {
		if err := b.emit(ctx, emissions); err != nil {
			return err
		}
	}
	return u.target.Update(ctx, func(ctx context.Context, book Book) error { return b.save(ctx, book, state) })
}

// State is the value of a projection with [Persist]: its handlers change it and may emit
// events. The value is written as JSON, in one row with the checkpoint, after each page
// of events; so it suits values up to some hundred kilobytes. [New] refuses a type that
// would lose a part when it is stored and read again: see package codec.
type State[S any] struct {
	// Value is the state. It begins as the zero S.
	Value S

	name      string
	at        *persistence.Recorded
	count     int
	emissions []emission
	proving   bool // see [Config.ProveMessages]
}

// Persist keeps states in a store. The handlers of the definition take a pointer to a [State] of S.
func Persist[S any](store Store) Target[*State[S]] {
	of, problem := codec.OfState(reflect.TypeFor[S](), "state")
	if problem == nil && of.Descriptor() != nil {
		problem = fmt.Errorf("%s is a protobuf message, and a state is kept as JSON: keep a struct", of.GoType())
	}
	return persisted[S]{store, of, problem}
}

type persisted[S any] struct {
	Store
	of      *codec.Type
	problem error
}

func (p persisted[S]) check() error {
	if p.problem != nil {
		return p.problem
	}
	return p.of.Prove()
}

// Transact is for Setup, Truncate and Drop, which see an empty state.
func (p persisted[S]) Transact(ctx context.Context, body func(context.Context, *State[S], Book) error) error {
	return p.Update(ctx, func(ctx context.Context, book Book) error { return body(ctx, new(State[S]), book) })
}

func (p persisted[S]) load(state []byte, proving bool) (*State[S], error) {
	s := &State[S]{proving: proving}
	if len(state) == 0 || string(state) == null {
		return s, nil
	}
	// It is saved again in place of what was there, which must not lose what a program
	// before, or a newer one beside, has kept in it.
	value, err := p.of.DecodeWhole(state)
	switch {
	case errors.Is(err, codec.ErrNotWhole):
		return nil, &persistence.CorruptError{Reason: "the state of a projection holds what its type does not know: reset it, or raise its version", Err: err}
	case err != nil:
		return nil, &persistence.CorruptError{Reason: "the state of a projection is not one of its type: reset it, or raise its version"}
	}
	s.Value, _ = value.(S)
	return s, nil
}

func (p persisted[S]) store(s *State[S]) ([]byte, []emission, error) {
	emissions := s.emissions
	s.emissions = nil
	if p.of.IsNil(s.Value) {
		return []byte(null), emissions, nil
	}
	of := p.of
	if s.proving {
		of = of.Strict()
	}
	encoded, err := of.Encode(s.Value)
	return encoded, emissions, err
}

// null is a state that is a nil pointer.
const null = "null"

func (p persisted[S]) begin(s *State[S], name string, recorded *persistence.Recorded) {
	if s.at == nil || s.at.Position != recorded.Position || s.at.Sub != recorded.Sub {
		s.count = 0
	}
	s.name, s.at = name, recorded
}
