package actors

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// Events returns the types of events for which aggregates have an On, by kind. Package
// schema checks a journal against them. Some may be missing from definitions that [Open]
// would refuse.
func Events(definitions ...Definition) map[string][]*codec.Type {
	events := make(map[string][]*codec.Type, len(definitions))
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		for _, on := range d.definition().inOrder() {
			events[d.Kind()] = append(events[d.Kind()], on.event)
		}
	}
	return events
}

// inOrder returns the appliers, ordered by the stored names of their events.
func (d *definition) inOrder() []*applier {
	return slices.SortedFunc(maps.Values(d.stored), func(a, b *applier) int { return cmp.Compare(a.event.Name(), b.event.Name()) })
}

// Program returns all types that aggregates read and store. Package schema compares a
// journal with them. Some may be missing from definitions that [Open] would refuse.
func Program(upcasters *upcast.Chain, definitions ...Definition) schema.Program {
	program := schema.Program{
		Events: Events(definitions...), Upcasters: upcasters,
		Commands: map[string][]*codec.Type{}, Replies: map[string][]*codec.Type{}, Sends: map[string]bool{},
	}
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		program.Sends[d.Kind()] = d.definition().process
		for _, h := range d.definition().handlers {
			program.Commands[d.Kind()] = append(program.Commands[d.Kind()], h.command)
			if h.reply != nil {
				program.Replies[d.Kind()] = append(program.Replies[d.Kind()], h.reply)
			}
		}
		for _, on := range d.definition().reactions {
			program.Reads = append(program.Reads, on.command)
		}
	}
	return program
}

// SendsTo returns the kinds to which aggregates send commands, as far as a [Result] says.
func SendsTo(definitions ...Definition) []string {
	all := map[string]bool{}
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		for _, kind := range d.definition().sendsTo {
			all[kind] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// describe registers the types that are stored with the journal, once: all events and
// commands, and the replies in headers. It keeps the ids of the events' schemas where each
// event passes anyway.
func (s *System) describe(ctx context.Context) error {
	definitions := make([]Definition, 0, len(s.definitions))
	definitions = append(definitions, s.config.Aggregates...)
	idOf, err := schema.RegisterProgram(ctx, s.config.Journal, Program(s.config.Upcasters, definitions...))
	if err != nil {
		return err
	}
	known, err := schema.ReadCatalogue(ctx, s.config.Journal)
	if err != nil {
		return err
	}
	s.findSenders(known)
	noted := map[schema.Stored]bool{}
	for _, stored := range known.Stored() {
		noted[stored] = true
	}
	_, keeps := persistence.As[persistence.Schemas](s.config.Journal)
	if keeps {
		s.notes = newNotes(s)
	}
	for _, kind := range slices.Sorted(maps.Keys(s.definitions)) {
		of := s.definitions[kind]
		of.notes = s.notes
		for _, on := range of.inOrder() {
			if on.schema = idOf(on.event); on.schema == 0 && keeps {
				s.config.Logger.Warn("description too large for the journal", slog.Any("err", fmt.Errorf("events %s are readable by this program only", on.event.Name())))
			}
			on.noted.Store(noted[schema.Stored{Kind: kind, Role: schema.Event, Type: on.event.Name(), Schema: on.schema}])
		}
		for _, h := range of.handlers {
			h.schema = idOf(h.command)
			if keeps && h.schema != 0 && noted[schema.Stored{Kind: kind, Role: schema.Command, Type: h.command.Name(), Schema: h.schema}] {
				s.notes.sent[sentType{kind, h.command.Name()}] = true
			}
		}
	}
	return nil
}

// findSenders marks the kinds that have sent commands in other programs: what they have open
// is delivered even when the kind sends nothing any more. It also notes such kinds that are
// not hosted here. A journal without descriptions of types does not tell.
func (s *System) findSenders(known *schema.Catalogue) {
	for _, kind := range known.Senders() {
		if d := s.definitions[kind]; d != nil {
			d.hasSent = true
		} else {
			s.strays = append(s.strays, kind)
		}
	}
}

// notes tell the journal of each type before the first event of the type is stored, and
// before the first command of it is sent. So every later program knows at its start which
// types it has to read. A crash in between leaves a note of a type that is not stored:
// later programs are asked for more than is needed, but no event surprises them.
type notes struct {
	system *System
	life   lifetime
	one    chan struct{} // has room for the one activation that writes notes

	mu   sync.RWMutex // protects sent
	sent map[sentType]bool
}

// sentType is a type of command that was sent to aggregates of a kind.
type sentType struct{ kind, command string }

func newNotes(s *System) *notes {
	return &notes{system: s, life: newLifetime(), one: make(chan struct{}, 1), sent: map[sentType]bool{}}
}

// unnoted is a type that a decision stores, and that the journal may not know.
type unnoted struct {
	raised *applier    // of an event
	kind   string      // else of a command that is sent to aggregates of this kind
	sent   *codec.Type // and is of this type
}

// raises marks the type of a raised event in the decision, unless the journal knows it.
func (n *notes) raises(tx *Tx, on *applier) {
	if n != nil && on.schema != 0 && !on.noted.Load() {
		tx.unnoted = append(tx.unnoted, unnoted{raised: on})
	}
}

// sends does the same for a command that is sent.
func (n *notes) sends(tx *Tx, kind string, of *codec.Type) {
	if n != nil && !n.isSent(sentType{kind, of.Name()}) {
		tx.unnoted = append(tx.unnoted, unnoted{kind: kind, sent: of})
	}
}

func (n *notes) isSent(what sentType) bool {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.sent[what]
}

// store notes all marked types of a decision in the journal, before its events are stored.
// The activation waits for that; it happens once for each type in the life of a journal.
func (n *notes) store(kind string, deadline time.Time, types []unnoted) error {
	ctx, cancel := n.life.until(deadline, context.DeadlineExceeded)
	defer cancel()
	select {
	case n.one <- struct{}{}:
		defer func() { <-n.one }()
	case <-ctx.Done():
		return unavailable(ReasonJournal, context.Cause(ctx))
	}
	for _, what := range types {
		var err error
		if what.raised != nil {
			err = n.storeRaised(ctx, kind, what.raised)
		} else {
			err = n.storeSent(ctx, what.kind, what.sent)
		}
		if err != nil {
			return unavailable(ReasonJournal, err)
		}
	}
	return nil
}

func (n *notes) storeRaised(ctx context.Context, kind string, on *applier) error {
	if on.noted.Load() { // by another meanwhile
		return nil
	}
	err := schema.Note(ctx, n.system.config.Journal, schema.Stored{Kind: kind, Role: schema.Event, Type: on.event.Name(), Schema: on.schema})
	if err == nil {
		on.noted.Store(true)
	}
	return err
}

func (n *notes) storeSent(ctx context.Context, kind string, of *codec.Type) error {
	if n.isSent(sentType{kind, of.Name()}) {
		return nil
	}
	stored := schema.Stored{Kind: kind, Role: schema.Command, Type: of.Name()}
	if h := n.system.definitions[kind].byName(of.Name()); h != nil && h.schema != 0 {
		stored.Schema = h.schema
	} else { // another program's, which this one describes as it stores it
		ids, err := schema.Register(ctx, n.system.config.Journal, of)
		if err != nil {
			return err
		}
		stored.Schema = ids[0]
	}
	if err := schema.Note(ctx, n.system.config.Journal, stored); err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.sent[sentType{kind, of.Name()}] = true
	return nil
}

// close ends what is under way, also for activations that Close could not wait for.
func (n *notes) close() {
	if n != nil {
		n.life.end(errSystemClosed)
	}
}

// storedType is a type that is stored for a kind, and as what: an event, a command.
type storedType struct {
	as string
	of *codec.Type
}

const asState = "state"

// messages returns the types that are stored for a kind, each once in each role.
func (d *definition) messages() []storedType {
	all := map[storedType]bool{}
	handles := func(handlers map[reflect.Type]*handler) {
		for _, h := range handlers {
			all[storedType{"command", h.command}] = true
			if h.reply != nil {
				all[storedType{"reply", h.reply}] = true
			}
		}
	}
	handles(d.handlers)
	for _, h := range d.results {
		all[storedType{"sent command", h.command}] = true
		if h.reply != nil {
			all[storedType{"reply", h.reply}] = true
		}
	}
	for _, on := range d.appliers {
		all[storedType{"event", on.event}] = true
	}
	for _, on := range d.reactions {
		all[storedType{"event", on.command}] = true
	}
	if d.snapshots != nil && d.snapshots.codec != nil {
		all[storedType{asState, d.snapshots.codec}] = true
	}
	return slices.SortedFunc(maps.Keys(all), func(a, b storedType) int {
		return cmp.Or(cmp.Compare(a.as, b.as), cmp.Compare(a.of.Name(), b.of.Name()))
	})
}

// prove returns an error for each stored type that would not come back whole.
func (d *definition) prove() (problems []error) {
	for _, m := range d.messages() {
		if err := m.of.Prove(); err != nil {
			problems = append(problems, fmt.Errorf("aggregate %s: %s %s: %w", d.kind, m.as, m.of.Name(), err))
		}
	}
	return problems
}

// Names returns the names under which the messages of definitions are stored, and an error
// for each name that two Go types share: [Open] refuses such definitions. Package stele
// compares the names with those that projections read.
func Names(definitions ...Definition) (*codec.Names, error) {
	names, problems := &codec.Names{}, []error(nil)
	for _, d := range definitions {
		if d == nil || d.definition() == nil {
			continue
		}
		for _, m := range d.definition().messages() {
			if m.as != asState { // which is kept for its stream, whatever its name
				problems = append(problems, names.Add(m.as+" of kind "+d.Kind(), m.of))
			}
		}
	}
	return names, errors.Join(problems...)
}

// proveMessages has every encoded message decoded again, see [Config.ProveMessages].
func (d *definition) proveMessages() {
	strict := func(h handler) handler {
		h.command, h.reply = h.command.Strict(), h.reply.Strict()
		return h
	}
	d.proving = true
	own := *d
	d.handlers, d.results, d.reactions = maps.Clone(d.handlers), maps.Clone(d.results), maps.Clone(d.reactions)
	for command, h := range own.handlers {
		one := strict(*h)
		d.handlers[command] = &one
	}
	for command, h := range own.results {
		one := strict(*h)
		d.results[command] = &one
	}
	for event, on := range own.reactions {
		d.reactions[event] = &reaction{strict(on.handler), on.key}
	}
	for _, on := range d.appliers { // the system's own
		on.event = on.event.Strict()
	}
	if d.snapshots != nil {
		snapshots := *d.snapshots
		snapshots.codec = snapshots.codec.Strict()
		d.snapshots = &snapshots
	}
}
