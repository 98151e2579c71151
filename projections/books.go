package projections

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/projections/internal/turn"
)

// Books is a [Store] in memory, which is lost with the process. The zero Books is ready.
type Books struct {
	turn          turn.Turn // protects the rest, through whole transactions
	registrations map[versionKey]Registration
	workers       map[versionKey][]Worker
	parked        map[versionKey]map[persistence.Position]Parked
	beats         map[string]int64
	epoch         int64
}

type versionKey struct {
	name    string
	version int
}

// Update fulfils [Store].
func (b *Books) Update(ctx context.Context, body func(context.Context, Book) error) error {
	ctx, leave, err := b.turn.Take(ctx)
	if err != nil {
		return err
	}
	defer leave()
	if b.registrations == nil {
		b.registrations, b.workers = map[versionKey]Registration{}, map[versionKey][]Worker{}
		b.parked, b.beats = map[versionKey]map[persistence.Position]Parked{}, map[string]int64{}
	}
	tx := &pages{Books: b}
	committed := false
	defer func() { // also when body panics
		if !committed {
			for _, undo := range slices.Backward(tx.undo) {
				undo()
			}
		}
	}()
	if err := body(ctx, tx); err != nil {
		return err
	}
	committed = true
	return nil
}

// Holds fulfils [Sequential].
func (b *Books) Holds(ctx context.Context) bool { return b.turn.Holds(ctx) }

// View fulfils [Sequential]. It takes its turn, as transactions here are short; from
// inside of one it sees what that one has done.
func (b *Books) View(ctx context.Context, body func(context.Context, Book) error) error {
	if b.Holds(ctx) {
		return body(ctx, &pages{Books: b})
	}
	return b.Update(ctx, body)
}

// pages is a transaction: what is changed at once, and how to take it back.
type pages struct {
	*Books
	undo []func()
}

func (p *pages) keep(key versionKey) {
	registration, registered := p.registrations[key]
	workers, divided := p.workers[key]
	workers = slices.Clone(workers)
	p.undo = append(p.undo, func() {
		if p.registrations[key] = registration; !registered {
			delete(p.registrations, key)
		}
		if p.workers[key] = workers; !divided {
			delete(p.workers, key)
		}
	})
}

func (p *pages) keepParked(key versionKey) {
	parked := maps.Clone(p.parked[key])
	p.undo = append(p.undo, func() { p.parked[key] = parked })
}

// Lock fulfils [Book]; transactions take turns anyway.
func (p *pages) Lock(context.Context, string) error { return nil }

// Registrations fulfils [Book].
func (p *pages) Registrations(_ context.Context, name string) ([]Registration, error) {
	var found []Registration
	for key, registration := range p.registrations {
		if name == "" || key.name == name {
			found = append(found, registration)
		}
	}
	slices.SortFunc(found, func(a, b Registration) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version))
	})
	return found, nil
}

// Register fulfils [Book].
func (p *pages) Register(_ context.Context, registration Registration) error {
	key := versionKey{registration.Name, registration.Version}
	p.keep(key)
	p.registrations[key] = registration
	return nil
}

// Unregister fulfils [Book].
func (p *pages) Unregister(_ context.Context, name string, version int) error {
	key := versionKey{name, version}
	p.keep(key)
	p.keepParked(key)
	delete(p.registrations, key)
	delete(p.workers, key)
	delete(p.parked, key)
	return nil
}

// Workers fulfils [Book].
func (p *pages) Workers(_ context.Context, name string, version int) ([]Worker, error) {
	return slices.Clone(p.workers[versionKey{name, version}]), nil
}

// Divide fulfils [Book].
func (p *pages) Divide(_ context.Context, name string, version int, workers []Worker) error {
	key := versionKey{name, version}
	p.keep(key)
	workers = slices.Clone(workers)
	for i := range workers {
		p.epoch++
		workers[i].Epoch, workers[i].Node = p.epoch, ""
	}
	slices.SortFunc(workers, func(a, b Worker) int { return cmp.Compare(a.Low, b.Low) })
	p.workers[key] = workers
	return nil
}

func (p *pages) worker(part PartKey) *Worker {
	workers := p.workers[versionKey{part.Name, part.Version}]
	at := slices.IndexFunc(workers, func(w Worker) bool { return w.Low == part.Low })
	if at < 0 {
		return nil
	}
	return &workers[at]
}

// TakeOver fulfils [Book].
func (p *pages) TakeOver(_ context.Context, part PartKey, node string) (Worker, error) {
	p.keep(versionKey{part.Name, part.Version})
	w := p.worker(part)
	if w == nil {
		return Worker{}, &NotFoundError{part.Name}
	}
	p.epoch++
	w.Epoch, w.Node, w.Cause = p.epoch, node, ""
	return *w, nil
}

// Save fulfils [Book].
func (p *pages) Save(_ context.Context, part PartKey, epoch int64, from tail.Checkpoint, worker Worker) error {
	p.keep(versionKey{part.Name, part.Version})
	w := p.worker(part)
	if w == nil || w.Epoch != epoch || w.Checkpoint.String() != from.String() {
		return fenced()
	}
	w.Checkpoint, w.Sub, w.SubOf, w.State = worker.Checkpoint, worker.Sub, worker.SubOf, worker.State
	w.Cause, w.Moved = worker.Cause, worker.Moved.Truncate(time.Microsecond)
	return nil
}

// Fence fulfils [Book].
func (p *pages) Fence(_ context.Context, name string, version int) error {
	key := versionKey{name, version}
	p.keep(key)
	for i := range p.workers[key] {
		p.epoch++
		p.workers[key][i].Epoch, p.workers[key][i].Node = p.epoch, ""
	}
	return nil
}

// Release fulfils [Book].
func (p *pages) Release(_ context.Context, part PartKey, epoch int64) error {
	p.keep(versionKey{part.Name, part.Version})
	if w := p.worker(part); w != nil && w.Epoch == epoch {
		w.Node = ""
	}
	return nil
}

// Beat fulfils [Book].
func (p *pages) Beat(_ context.Context, node string, beat int64) error {
	p.keepBeats()
	p.beats[node] = beat
	return nil
}

// Beats fulfils [Book].
func (p *pages) Beats(context.Context) (map[string]int64, error) { return maps.Clone(p.beats), nil }

// Forget fulfils [Book].
func (p *pages) Forget(_ context.Context, node string, beat int64) error {
	p.keepBeats()
	if p.beats[node] == beat {
		delete(p.beats, node)
	}
	return nil
}

func (p *pages) keepBeats() {
	beats := maps.Clone(p.beats)
	p.undo = append(p.undo, func() { p.beats = beats })
}

// Park fulfils [Book].
func (p *pages) Park(_ context.Context, parked Parked) error {
	key := versionKey{parked.Name, parked.Version}
	before, there := p.parked[key][parked.Position]
	if p.parked[key] == nil {
		p.parked[key] = map[persistence.Position]Parked{}
	}
	p.undo = append(p.undo, func() {
		if p.parked[key][parked.Position] = before; !there {
			delete(p.parked[key], parked.Position)
		}
	})
	p.parked[key][parked.Position] = parked
	return nil
}

// Parked fulfils [Book].
func (p *pages) Parked(_ context.Context, name string, version int, after persistence.Position, limit int) ([]Parked, error) {
	var found []Parked
	for position, parked := range p.parked[versionKey{name, version}] {
		if comparePositions(position, after) > 0 {
			found = append(found, parked)
		}
	}
	slices.SortFunc(found, func(a, b Parked) int { return comparePositions(a.Position, b.Position) })
	return found[:min(limit, len(found))], nil
}

func comparePositions(a, b persistence.Position) int {
	return cmp.Or(cmp.Compare(a.Part, b.Part), cmp.Compare(a.Offset, b.Offset))
}

// Unpark fulfils [Book].
func (p *pages) Unpark(_ context.Context, name string, version int, position persistence.Position) error {
	key := versionKey{name, version}
	if before, there := p.parked[key][position]; there {
		p.undo = append(p.undo, func() { p.parked[key][position] = before })
		delete(p.parked[key], position)
	}
	return nil
}

// UnparkAll fulfils [Book].
func (p *pages) UnparkAll(_ context.Context, name string, version int) error {
	key := versionKey{name, version}
	p.keepParked(key)
	delete(p.parked, key)
	return nil
}
