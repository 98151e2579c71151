package actors

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/persistence/upcast"
)

// Events returns the types of the events that aggregates have an On for, by kind:
// what package schema checks a journal against. Definitions that [Open] would
// refuse may lack some.
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

// inOrder are the appliers by the stored name of their event.
func (d *definition) inOrder() []*applier {
	return slices.SortedFunc(maps.Values(d.stored), func(a, b *applier) int { return cmp.Compare(a.event.Name(), b.event.Name()) })
}

// Program is what aggregates read and store: what package schema compares a journal
// with. Definitions that [Open] would refuse may lack some.
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

// describe registers what is stored with the journal, once: all events and commands,
// and the replies in headers. What it knows the events by is kept where each event
// passes anyway.
func (s *System) describe(ctx context.Context) error {
	definitions := make([]Definition, 0, len(s.definitions))
	definitions = append(definitions, s.config.Aggregates...)
	idOf, err := schema.RegisterProgram(ctx, s.config.Journal, Program(s.config.Upcasters, definitions...))
	if err != nil {
		return err
	}
	if err := s.findSenders(ctx); err != nil {
		return err
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
		}
		for _, h := range of.handlers {
			h.schema = idOf(h.command)
		}
	}
	return nil
}

// findSenders marks the kinds that have sent when they were hosted by other programs: what
// they have open is to be delivered also when the kind sends nothing any more. A journal
// that keeps no descriptions does not tell.
func (s *System) findSenders(ctx context.Context) error {
	known, err := schema.ReadCatalogue(ctx, s.config.Journal)
	if err != nil {
		return err
	}
	for kind, d := range s.definitions {
		d.hasSent = known.Sends(kind)
	}
	return nil
}

// notes tell the journal what is stored, once for each type, so that every program to
// come knows at its start what it has to read: when the first event of a type is raised,
// and the first command of a type is sent. It happens beside the append; a crash in
// between leaves it to the next event.
type notes struct {
	system *System
	ctx    context.Context //nolint:containedctx // ends with the system
	cancel context.CancelCauseFunc
	done   sync.WaitGroup

	mu   sync.RWMutex // protects sent
	sent map[sentType]bool
}

// sentType is a type of command that was sent to aggregates of a kind.
type sentType struct{ kind, command string }

func newNotes(s *System) *notes {
	n := &notes{system: s, sent: map[sentType]bool{}}
	n.ctx, n.cancel = context.WithCancelCause(context.Background()) //nolint:forbidigo // a root, ended by stop
	return n
}

// raised notes an event; it is called when one is raised for the first time.
func (n *notes) raised(kind string, on *applier) {
	if n == nil || n.ctx.Err() != nil || on.schema == 0 || !on.noted.CompareAndSwap(false, true) {
		return
	}
	n.done.Go(func() { // owned by the system, see Close
		if n.tell(schema.Stored{Kind: kind, Role: schema.Event, Type: on.event.Name(), Schema: on.schema}) != nil {
			on.noted.Store(false) // the next one is told of
		}
	})
}

// send notes a command.
func (n *notes) send(kind string, of *codec.Type) {
	if n == nil || n.ctx.Err() != nil {
		return
	}
	what := sentType{kind, of.Name()}
	n.mu.RLock()
	known := n.sent[what]
	n.mu.RUnlock()
	if known || !n.mark(what, true) {
		return
	}
	n.done.Go(func() { // owned by the system, see Close
		if n.sendNow(kind, of) != nil {
			n.mark(what, false)
		}
	})
}

// mark reports that it has changed what is known.
func (n *notes) mark(what sentType, known bool) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := n.sent[what] != known
	n.sent[what] = known
	return changed
}

func (n *notes) sendNow(kind string, of *codec.Type) error {
	stored := schema.Stored{Kind: kind, Role: schema.Command, Type: of.Name()}
	if h := n.system.definitions[kind].byName(of.Name()); h != nil && h.schema != 0 {
		stored.Schema = h.schema
	} else { // another program's, which this one describes as it stores it
		ctx, cancel := context.WithTimeoutCause(n.ctx, recoveryNoProgress, errNoProgress)
		defer cancel()
		ids, err := schema.Register(ctx, n.system.config.Journal, of)
		if err != nil {
			return err
		}
		stored.Schema = ids[0]
	}
	return n.tell(stored)
}

func (n *notes) tell(stored schema.Stored) error {
	ctx, cancel := context.WithTimeoutCause(n.ctx, recoveryNoProgress, errNoProgress)
	defer cancel()
	err := schema.Note(ctx, n.system.config.Journal, stored)
	if err != nil && n.ctx.Err() == nil {
		n.system.config.Logger.Debug("what is stored not noted yet", slog.Any("err", err))
	}
	return err
}

// close lets what is under way finish, as far as ctx allows.
func (n *notes) close(ctx context.Context) {
	if n == nil {
		return
	}
	stopped := context.AfterFunc(ctx, func() { n.cancel(errSystemClosed) })
	defer stopped()
	n.done.Wait()
	n.cancel(errSystemClosed)
}
