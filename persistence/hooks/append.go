package hooks

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// appending is an append on its way through the hooks.
type appending struct {
	journal *Journal
	append  persistence.Append
	entered []entered
	refusal error
}

// entered is a hook that has let an append pass.
type entered struct {
	hook  *Hook
	after func(persistence.Outcome)
}

// begin takes an append inwards, until a hook refuses.
func (j *Journal) begin(ctx context.Context, hooks []*Hook, append persistence.Append) *appending {
	a := &appending{journal: j, append: append, entered: make([]entered, 0, len(hooks))}
	a.own(hooks)
	if !slices.ContainsFunc(hooks, (*Hook).entersAppend) { // nothing is to be called
		for _, hook := range hooks {
			a.pass(hook, nil)
		}
		return a
	}
	var at *Hook
	err := usercode.Call(func() error {
		for _, at = range hooks {
			if err := a.enter(ctx, at); err != nil {
				return refusalOf(at, err)
			}
		}
		return nil
	})
	if ended, ok := err.(*usercode.EndedError); ok { //nolint:errorlint // Call's own, and not one that a hook has returned
		err = &persistence.Error{Kind: persistence.ErrRejected, Reason: reasonPanic, Err: didNotReturn(at, ended)}
	}
	if err != nil {
		a.refusal = err
		a.end(ctx, persistence.Outcome{Err: a.refusal})
	}
	return a
}

// reasonPanic is that of an append whose hook did not return, as it is that of a command
// whose handler did not.
const reasonPanic = "panic"

// refusalOf is an error that says of itself that nothing was stored. That of a hook may
// have no kind, or be about something else, of which the hook does not know what became.
func refusalOf(hook *Hook, err error) error {
	class, known := persistence.Classify(err)
	reason := fmt.Sprintf("refused by hook %q", hook.Name)
	switch {
	case class.Effect != persistence.NotDone:
		return &persistence.UnavailableError{Reason: reason, Err: err}
	case !known:
		return &persistence.Error{Kind: persistence.ErrRejected, Reason: reason, Err: err}
	}
	return err
}

// own makes what a hook may change its own, if there is one that may.
func (a *appending) own(hooks []*Hook) {
	if !slices.ContainsFunc(hooks, func(hook *Hook) bool { return hook.BeforeAppend != nil }) {
		return
	}
	a.append.Events = slices.Clone(a.append.Events)
	for i := range a.append.Events {
		e := &a.append.Events[i]
		if e.Metadata = maps.Clone(e.Metadata); e.Metadata == nil {
			e.Metadata = persistence.Metadata{}
		}
		e.Tags = slices.Clip(e.Tags) // what is added to them does not end up in the caller's
	}
}

func (a *appending) enter(ctx context.Context, hook *Hook) error {
	if hook.BeforeAppend != nil {
		if err := hook.BeforeAppend(ctx, &a.append); err != nil {
			return err
		}
	}
	var after func(persistence.Outcome)
	if hook.AroundAppend != nil {
		after = hook.AroundAppend(ctx, &a.append)
	}
	a.pass(hook, after)
	return nil
}

func (a *appending) pass(hook *Hook, after func(persistence.Outcome)) {
	a.entered = append(a.entered, entered{hook, after})
}

// end brings the outcome outwards. Hooks can change nothing any more, so one that does
// not return must not either.
func (a *appending) end(ctx context.Context, outcome persistence.Outcome) {
	var calls []call
	for _, e := range slices.Backward(a.entered) {
		if e.after != nil {
			calls = append(calls, call{e.hook, func() { e.after(outcome) }})
		}
		if e.hook.AfterAppend != nil {
			calls = append(calls, call{e.hook, func() { e.hook.AfterAppend(ctx, &a.append, outcome) }})
		}
	}
	a.journal.tell(a.append.Stream, calls)
}

// Append fulfils [persistence.Appender]. A refusal is the outcome of its append
// alone.
func (j *Journal) Append(ctx context.Context, appends ...persistence.Append) ([]persistence.Outcome, error) {
	hooks := j.hooks.Load().appending
	if len(hooks) == 0 || len(appends) == 0 {
		return j.Journal.Append(ctx, appends...)
	}
	begun, passed := j.beginAll(ctx, hooks, appends)
	var outcomes []persistence.Outcome
	if len(passed) > 0 {
		var err error
		if outcomes, err = j.Journal.Append(ctx, passed...); err != nil {
			for _, a := range begun {
				if a.refusal == nil {
					a.end(ctx, persistence.Outcome{Err: err})
				}
			}
			return nil, err
		}
	}
	all := make([]persistence.Outcome, len(appends))
	for i, a := range begun {
		if a.refusal != nil {
			all[i].Err = a.refusal
			continue
		}
		all[i], outcomes = outcomes[0], outcomes[1:]
		a.end(ctx, all[i])
	}
	return all, nil
}

// beginAll returns the appends that no hook has refused beside all of them.
func (j *Journal) beginAll(ctx context.Context, hooks []*Hook, appends []persistence.Append) (begun []*appending, passed []persistence.Append) {
	begun, passed = make([]*appending, len(appends)), make([]persistence.Append, 0, len(appends))
	for i := range appends {
		begun[i] = j.begin(ctx, hooks, appends[i])
		if begun[i].refusal == nil {
			passed = append(passed, begun[i].append)
		}
	}
	return begun, passed
}

// Submit fulfils [persistence.Submitter]. A refusal is its error.
func (j *Journal) Submit(append persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if j.submitter == nil {
		return unable("Submitter")
	}
	hooks := j.hooks.Load().appending
	if len(hooks) == 0 {
		return j.submitter.Submit(append, chain, done)
	}
	ctx := context.Background() //nolint:forbidigo // Submit has none; see Hook.BeforeAppend
	a := j.begin(ctx, hooks, append)
	if a.refusal != nil {
		return a.refusal
	}
	err := j.submitter.Submit(a.append, chain, func(outcome persistence.Outcome) {
		a.end(ctx, outcome)
		done(outcome)
	})
	if err != nil {
		a.end(ctx, persistence.Outcome{Err: err})
	}
	return err
}
