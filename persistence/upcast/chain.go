package upcast

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/codec"
)

// Limits of a chain: the steps that one event goes through at most, and the
// events that all steps of one stored event yield together.
const (
	MaxSteps   = 32
	MaxResults = 1000
)

// Chain is a set of upcasters that fit together. It is immutable and safe for
// concurrent use. A nil Chain changes nothing.
type Chain struct {
	upcasters map[string][]Upcaster // by type, in order
	drops     bool                  // some of them may yield nothing
}

// New makes a chain, or reports everything that is wrong with it: errors of kind
// [persistence.ErrInvalid].
func New(upcasters ...Upcaster) (*Chain, error) {
	c := &Chain{upcasters: make(map[string][]Upcaster, len(upcasters))}
	var problems []error
	for _, u := range upcasters {
		if err := u.check(); err != nil {
			problems = append(problems, err)
			continue
		}
		c.upcasters[u.From] = append(c.upcasters[u.From], u)
		c.drops = c.drops || !u.one
	}
	if err := errors.Join(append(problems, c.check()...)...); err != nil {
		return nil, err
	}
	return c, nil
}

// Prove proves the messages that [Map] makes, as [codec.Type.Prove] does: they are
// encoded for the next who reads them. It is meant for the start of a program.
func (c *Chain) Prove() error {
	if c == nil {
		return nil
	}
	var problems []error
	for _, eventType := range slices.Sorted(maps.Keys(c.upcasters)) {
		for _, u := range c.upcasters[eventType] {
			if u.after == nil {
				continue
			}
			if err := u.after.Prove(); err != nil {
				problems = append(problems, fmt.Errorf("upcaster of %s: %w", eventType, err))
			}
		}
	}
	return errors.Join(problems...)
}

// check looks for upcasters that are never reached, and for events that would never come
// to an end. A cycle is reported once.
func (c *Chain) check() []error {
	var problems []error
	steps := map[string]int{}
	for _, eventType := range slices.Sorted(maps.Keys(c.upcasters)) {
		of := c.upcasters[eventType]
		for i := range of[:len(of)-1] {
			if !slices.Contains(of[i].types(), eventType) {
				problems = append(problems, of[i].invalid(fmt.Sprintf("leaves nothing to the %d behind it: it always yields another type", len(of)-1-i)))
			}
		}
		if cycle := c.measure(eventType, nil, steps); cycle != nil {
			return append(problems, of[0].invalid(fmt.Sprintf("never ends: %q", cycle)))
		}
		if steps[eventType] > MaxSteps {
			problems = append(problems, &persistence.InvalidError{
				Field: "upcaster of " + eventType, Reason: "takes too many steps", Size: steps[eventType], Limit: MaxSteps,
			})
		}
	}
	return problems
}

// measure finds the longest way that an event of a type can go, or a cycle.
func (c *Chain) measure(eventType string, path []string, steps map[string]int) (cycle []string) {
	if _, known := steps[eventType]; known {
		return nil
	}
	path = append(path, eventType)
	if at := slices.Index(path, eventType); at < len(path)-1 {
		return path[at:]
	}
	longest := len(c.upcasters[eventType])
	for i, u := range c.upcasters[eventType] {
		for _, next := range u.types() {
			if next == eventType {
				continue // it goes on behind this upcaster
			}
			if cycle := c.measure(next, path, steps); cycle != nil {
				return cycle
			}
			longest = max(longest, i+1+steps[next])
		}
	}
	steps[eventType] = longest
	return nil
}

// Touches reports whether events that are stored under a type may be read as
// something else.
func (c *Chain) Touches(eventType string) bool {
	return c != nil && len(c.upcasters[eventType]) > 0
}

// Ends returns the types that an event may have in the end that is stored under a
// type, sorted: that type alone when nothing touches it, and none when every such
// event is dropped.
func (c *Chain) Ends(eventType string) []string {
	ends := map[string]bool{}
	c.follow(eventType, map[string]bool{}, ends)
	return slices.Sorted(maps.Keys(ends))
}

// follow looks at each type once; there are no cycles but from a type to itself.
func (c *Chain) follow(eventType string, seen, ends map[string]bool) {
	if seen[eventType] {
		return
	}
	seen[eventType] = true
	if !c.Touches(eventType) {
		ends[eventType] = true
		return
	}
	of := c.upcasters[eventType]
	for i, u := range of {
		for _, next := range u.types() {
			switch {
			case next != eventType:
				c.follow(next, seen, ends)
			case i == len(of)-1:
				ends[eventType] = true
			}
		}
	}
}

// Mapped returns the form as which a [Map] reads the payload that is stored under a
// type, and the one that it makes of it. It is not ok when something else reads it first.
func (c *Chain) Mapped(eventType string) (old, made *codec.Type, ok bool) {
	for c.Touches(eventType) {
		switch first := c.upcasters[eventType][0]; {
		case first.before != nil:
			return first.before, first.after, true
		case !first.rename || first.To[0] == eventType:
			return nil, nil, false
		default:
			eventType = first.To[0]
		}
	}
	return nil, nil, false
}

// Renamed reports whether events of a type are read with the payload that is stored,
// and under which type: its own when nothing touches it, else what [Rename] has made
// of it.
func (c *Chain) Renamed(eventType string) (today string, asStored bool) {
	for c.Touches(eventType) {
		of := c.upcasters[eventType]
		if len(of) > 1 || !of[0].rename {
			return "", false
		}
		if of[0].To[0] == eventType {
			break
		}
		eventType = of[0].To[0]
	}
	return eventType, true
}

// Upcast appends to out what a stored event is today and returns it. One event
// may share memory with the stored one; several share nothing, so that each is its
// reader's own. An upcaster that fails, does not return or breaks its declaration is a
// [*persistence.CorruptError] that names stream and version; out is then returned
// as it was.
func (c *Chain) Upcast(out []persistence.Recorded, stored *persistence.Recorded) ([]persistence.Recorded, error) {
	if !c.Touches(stored.Type) {
		return append(out, *stored), nil
	}
	r := run{chain: c}
	err := r.step(Raw{Type: stored.Type, Schema: stored.Schema, Payload: stored.Payload, Metadata: stored.Metadata}, 0)
	if err != nil {
		return out, &persistence.CorruptError{
			Stream: stored.Stream, Version: stored.Version, Reason: "upcasting failed from " + r.failed, Err: err,
		}
	}
	for i, raw := range r.done {
		today := *stored
		today.Type, today.Schema, today.Payload, today.Metadata = raw.Type, raw.Schema, raw.Payload, raw.Metadata
		if len(r.done) > 1 {
			today.Payload, today.Metadata = slices.Clone(raw.Payload), maps.Clone(raw.Metadata)
			today.Headers, today.Tags = slices.Clone(stored.Headers), slices.Clone(stored.Tags)
			today.Sub, today.SubCount = uint16(i), uint16(len(r.done)) //nolint:gosec // not more than MaxResults
		}
		out = append(out, today)
	}
	return out, nil
}

// run is the way of one stored event through a chain.
type run struct {
	chain   *Chain
	done    []Raw
	results int
	failed  string // the type whose upcaster has failed
}

// step applies the upcasters of an event's type, from one of them on.
func (r *run) step(raw Raw, from int) error {
	of := r.chain.upcasters[raw.Type]
	if from >= len(of) {
		r.done = append(r.done, raw)
		return nil
	}
	results, err := of[from].call(raw)
	if err == nil {
		if r.results += len(results); r.results > MaxResults {
			err = fmt.Errorf("more than %d events come of one", MaxResults)
		}
	}
	if err != nil {
		r.failed = raw.Type
		return err
	}
	for _, result := range results {
		next := 0
		if result.Type == raw.Type {
			next = from + 1
		}
		if err := r.step(result, next); err != nil {
			return err
		}
	}
	return nil
}

// call runs the function and holds it to what was declared.
func (u *Upcaster) call(raw Raw) (results []Raw, err error) {
	err = usercode.Call(func() error {
		results, err = u.Upcast(raw)
		return err
	})
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // Call's own
		return nil, fmt.Errorf("the upcaster %w", ended)
	}
	if err != nil {
		return nil, err
	}
	for i := range results {
		if !slices.Contains(u.types(), results[i].Type) {
			return nil, fmt.Errorf("the upcaster yields type %q, which it does not declare", results[i].Type)
		}
	}
	return results, nil
}
