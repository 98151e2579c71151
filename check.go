package stele

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/filter"
	"github.com/stele-es/stele/persistence/schema"
	"github.com/stele-es/stele/projections"
)

// Check compares the types of a configuration with those in its journal: the events and
// the commands of its aggregates, and the events that its projections read. It returns
// every change that would do harm to them, see [schema.Check]. It needs no node, and
// changes nothing. It counts the events, so it is for a build; [Start] checks only the
// descriptions.
func Check(ctx context.Context, config Config) ([]schema.Finding, error) {
	return schema.Check(ctx, config.Journal, config.program())
}

// program is all that a node reads and stores.
func (c *Config) program() schema.Program {
	program := actors.Program(c.Upcasters, c.Aggregates...)
	for _, reading := range projections.Readings(c.Projections...) {
		program.Reads = append(program.Reads, reading.Types...)
	}
	return program
}

// IncompatibleError says that a node does not start because its program would lose a part
// of what is stored, or could not read it.
type IncompatibleError struct {
	// Findings are the changes that would do harm, the worst first.
	Findings []schema.Finding
	// Open names a sent command that is not delivered and that the program cannot read;
	// nil when there is none.
	Open error
}

// Error fulfils error.
func (e *IncompatibleError) Error() string {
	var text strings.Builder
	text.WriteString("the journal holds what this program cannot read, or only in part; mend that, or set Config.AcceptLoss:")
	for _, finding := range e.Findings {
		text.WriteString("\n" + finding.String())
	}
	if e.Open != nil {
		fmt.Fprintf(&text, "\nto be delivered: %v", e.Open)
	}
	return text.String()
}

// Is matches [persistence.ErrInvalid]: the program is wrong, not the journal.
func (e *IncompatibleError) Is(target error) bool { return target == persistence.ErrInvalid }

// UncheckedError says that a node does not start because its time was too short to look
// through the journal, which is done once for each journal. With more time it starts, or
// says with an [IncompatibleError] why not.
type UncheckedError struct {
	// Err is the answer of the journal.
	Err error
}

// Error fulfils error.
func (e *UncheckedError) Error() string {
	return "the time of the start is over before the journal was looked through once for what this program could not read; " +
		"give Start more time, or compare with stele.Check and set Config.AcceptLoss: " + e.Err.Error()
}

// Unwrap returns what the journal answered.
func (e *UncheckedError) Unwrap() error { return persistence.Cause(persistence.ErrUnavailable, e.Err) }

// Is matches [persistence.ErrUnavailable]: nothing was done, and more time may help.
func (e *UncheckedError) Is(target error) bool { return target == persistence.ErrUnavailable }

// checkStart compares the descriptions in the journal, which it returns, with the program.
func (c *Config) checkStart(ctx context.Context) (*schema.Catalogue, error) {
	known, err := c.catalogue(ctx)
	if err != nil {
		return nil, err
	}
	var loss IncompatibleError
	var sent []schema.Finding
	for _, finding := range known.Check(c.program()) {
		switch {
		case finding.Severity > schema.Notice && !c.AcceptLoss && finding.Role == schema.Command:
			sent = append(sent, finding)
		case finding.Severity > schema.Notice && !c.AcceptLoss:
			loss.Findings = append(loss.Findings, finding)
		case finding.Severity > schema.Notice || finding.Newer:
			c.warnOf(ctx, finding)
		}
	}
	if len(sent) > 0 {
		c.checkOpen(ctx, &loss, sent)
	}
	if len(loss.Findings) > 0 {
		return nil, &loss
	}
	return known, nil
}

// warnIdle warns of what cannot work in a configuration that is right. It shows the
// journal before the node began.
func (c *Config) warnIdle(ctx context.Context, known *schema.Catalogue) {
	for _, warning := range c.idle(ctx, known) {
		c.Logger.WarnContext(ctx, "part of the configuration can do nothing", slog.Any("err", warning))
	}
}

// catalogue reads the descriptions in the journal, and sees to it that it speaks of all
// events: what was stored before programs noted it is looked for once.
func (c *Config) catalogue(ctx context.Context) (*schema.Catalogue, error) {
	known, err := schema.ReadCatalogue(ctx, c.Journal)
	if err != nil || known.LookedThrough() || c.AcceptLoss {
		return known, err
	}
	head, err := c.Journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(head, func(offset int64) bool { return offset > 0 }) {
		c.Logger.InfoContext(ctx, "looking through the journal once, for events that were stored before programs noted their types", slog.Any("position", head))
	}
	if err := schema.LookThrough(ctx, c.Journal); err != nil {
		if ctx.Err() != nil {
			return nil, &UncheckedError{Err: err}
		}
		return nil, err
	}
	return schema.ReadCatalogue(ctx, c.Journal)
}

func (c *Config) warnOf(ctx context.Context, finding schema.Finding) {
	c.Logger.WarnContext(ctx, "stored data of another form", slog.String("kind", finding.Kind), slog.Any("err", errors.New(finding.String())))
}

// openTime bounds how long a start looks whether commands are open that it could not read.
const openTime = 5 * time.Second

// checkOpen looks whether any command is still to be delivered that the program cannot
// read: types that are only of the past are no reason not to start. When that cannot be told in
// time the node starts, because it keeps what it cannot read, and says so.
func (c *Config) checkOpen(ctx context.Context, loss *IncompatibleError, sent []schema.Finding) {
	look, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	unreadable, err := actors.CheckOpen(look, c.Journal, c.Upcasters, c.Aggregates...)
	switch {
	case unreadable != nil:
		loss.Findings, loss.Open = append(loss.Findings, sent...), unreadable
	case err != nil:
		for _, finding := range sent {
			c.warnOf(ctx, finding)
		}
	}
}

// idle returns what is configured and cannot have an effect, as far as the journal has
// been told of other programs.
func (c *Config) idle(ctx context.Context, known *schema.Catalogue) (warnings []error) {
	hosted, raised := c.written(known)
	for _, kind := range actors.SendsTo(c.Aggregates...) {
		if !hosted[kind] && !known.Kind(kind) {
			warnings = append(warnings, fmt.Errorf("commands are sent to kind %s, which is hosted neither here nor, so far, by another program on the journal", kind))
		}
	}
	for _, read := range c.reads() {
		if !raised[read.event] && !c.contains(ctx, read.event) {
			warnings = append(warnings, fmt.Errorf("%s reads events %s, which no aggregate raises here, nor has on this journal", read.by, read.event))
		}
	}
	for _, reading := range projections.Readings(c.Projections...) {
		for _, kind := range reading.Kinds {
			if !strings.HasPrefix(kind, "$") && !hosted[kind] && !known.Kind(kind) && !c.holds(ctx, kind) {
				warnings = append(warnings, fmt.Errorf("projection %s reads kind %s, which is hosted neither here nor, so far, by another program, and of which the journal holds no stream", reading.Name, kind))
			}
		}
	}
	return warnings
}

// read says which reactions or projection read an event.
type read struct{ by, event string }

// reads returns which events of aggregates are read.
func (c *Config) reads() (all []read) {
	for _, reactions := range actors.ReactionsOf(c.Aggregates...) {
		for _, event := range reactions.Types() {
			all = append(all, read{reactions.Name(), event})
		}
	}
	for _, reading := range projections.Readings(c.Projections...) {
		if len(reading.Streams) > 0 {
			continue // perhaps of others than aggregates
		}
		for _, event := range reading.Types {
			all = append(all, read{"projection " + reading.Name, event.Name()})
		}
	}
	return all
}

// written returns the kinds that are hosted here, and the types of the events that are
// raised here or are in the journal.
func (c *Config) written(known *schema.Catalogue) (hosted, raised map[string]bool) {
	hosted, raised = map[string]bool{}, map[string]bool{}
	for kind, events := range actors.Events(c.Aggregates...) {
		hosted[kind] = true
		for _, event := range events {
			raised[event.Name()] = true
		}
	}
	for _, stored := range known.Stored() {
		if stored.Role == schema.Event {
			for _, today := range c.Upcasters.Ends(stored.Type) {
				raised[today] = true
			}
		}
	}
	return hosted, raised
}

// holds reports that the journal has a stream of a kind, or cannot tell.
func (c *Config) holds(ctx context.Context, kind string) bool {
	streams, ok := persistence.As[persistence.Streams](c.Journal)
	if !ok {
		return true
	}
	for category, err := range streams.Categories(ctx, persistence.ListOptions{Name: kind, Limit: 1}) {
		if err != nil || category == kind {
			return true
		}
	}
	return false
}

// lookTime bounds how long is looked for an event of a type before its absence is told:
// on a large journal it is not told then.
const lookTime = 500 * time.Millisecond

// contains reports that the journal has an event that is read under a type, whoever has
// stored it, or that this cannot be told in time.
func (c *Config) contains(ctx context.Context, event string) bool {
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	options := persistence.ReadAllOptions{Backward: true}
	if c.Upcasters == nil {
		options.Filter = filter.Type().Eq(event)
	}
	for page, err := range c.Journal.ReadAll(ctx, options) {
		if err != nil {
			return true
		}
		for _, recorded := range page.Events {
			if slices.Contains(c.Upcasters.Ends(recorded.Type), event) {
				return true
			}
		}
		if page.AtHead {
			return false
		}
	}
	return false
}
