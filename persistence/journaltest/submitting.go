package journaltest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

// submitting are the cases of a [persistence.Submitter].
var submitting = cases{
	"submitted appends take effect in their order":                     submitOrder,
	"a broken chain stores nothing more":                               submitBroken,
	"a broken chain stays broken when its version is reached later":    submitOvertaken,
	"a broken chain does not affect other streams, chains and appends": submitApart,
	"a submitted append is refused for the same reasons":               submitRefused,
	"submitted ids are idempotent":                                     submitNamed,
	"a submitted append without events tells the stream's version":     submitNothing,
	"the callback is called once for each append that was taken":       submitDone,
	"a callback that ends its goroutine affects nobody else":           submitExits,
	"closing settles every append that was taken":                      submitClose,
	"chains of many writers break where other writers overtake them":   submitChains,
}

// pipeline submits appends without waiting and collects their outcomes.
type pipeline struct {
	journal
	chain    *persistence.Chain
	settled  chan settlement
	open     int
	outcomes []persistence.Outcome
}

type settlement struct {
	index   int
	outcome persistence.Outcome
}

// newPipeline makes a pipeline for this many appends. Its callback never blocks, because
// callbacks must not.
func newPipeline(j journal, room int, chain *persistence.Chain) *pipeline {
	return &pipeline{journal: j, chain: chain, settled: make(chan settlement, 2*room)}
}

func (p *pipeline) submit(stream persistence.StreamID, expected persistence.Expected, events ...persistence.Event) {
	index := len(p.outcomes)
	p.outcomes = append(p.outcomes, persistence.Outcome{})
	p.open++
	err := ability[persistence.Submitter](p.Journal).Submit(
		persistence.Append{Stream: stream, Expected: expected, Events: events}, p.chain,
		func(o persistence.Outcome) { p.settled <- settlement{index, o} })
	if err != nil { // a writer treats an append that is refused at once as one that fails later
		p.outcomes[index].Err = err
		p.open--
	}
}

// wait returns an outcome for each append, in their order.
func (p *pipeline) wait() []persistence.Outcome {
	p.t.Helper()
	outcomes, err := p.gather()
	require.NoError(p.t, err)
	return outcomes
}

// gather is wait for goroutines that may not end the test.
func (p *pipeline) gather() ([]persistence.Outcome, error) {
	for ; p.open > 0; p.open-- {
		select {
		case s := <-p.settled:
			p.outcomes[s.index] = s.outcome
		case <-p.ctx.Done():
			return nil, fmt.Errorf("%d appends are not settled: %w", p.open, context.Cause(p.ctx))
		}
	}
	return p.outcomes, nil
}

// submitExits ends the goroutine on which the callback runs. That is the submitter's, or
// one of the journal, which must go on without it.
func submitExits(t *testing.T, s suite) {
	j := s.open(t)
	const appends = 30
	for round := range 2 {
		p := newPipeline(j, appends, nil)
		refused := make(chan error, appends)
		for i := range appends {
			p.open++
			p.outcomes = append(p.outcomes, persistence.Outcome{})
			a := to(persistence.StreamID(fmt.Sprintf("exits-%d-%d", round, i%10)), persistence.Any, note("n"))
			go func() { // ends before wait returns, which waits for all outcomes
				err := ability[persistence.Submitter](j.Journal).Submit(a, nil, func(o persistence.Outcome) {
					p.settled <- settlement{i, o}
					if i%3 > 0 {
						runtime.Goexit()
					}
				})
				if err != nil {
					refused <- err
				}
			}()
		}
		for _, o := range p.wait() {
			require.NoError(t, o.Err)
		}
		require.Empty(t, refused)
	}
	require.NoError(t, j.Close())
}

func submitOrder(t *testing.T, s suite) {
	j := s.open(t)
	const streams, each = 4, 25
	p := newPipeline(j, streams*each, new(persistence.Chain))
	plainly := newPipeline(j, each, nil)
	for i := range each {
		for stream := range streams {
			p.submit(persistence.StreamID(fmt.Sprintf("order-%d", stream)), persistence.Exact(persistence.Version(2*i)), note(fmt.Sprint(2*i)), note(fmt.Sprint(2*i+1)))
		}
		plainly.submit("order-any", persistence.Any, note(fmt.Sprint(i)))
	}

	for i, outcome := range p.wait() {
		require.NoError(t, outcome.Err)
		require.Equal(t, persistence.Version(2*(i/streams)+1), outcome.First)
		require.Equal(t, outcome.First+1, outcome.Last)
		stream := j.events(persistence.StreamID(fmt.Sprintf("order-%d", i%streams)))
		require.Equal(t, outcome.Position, stream[outcome.First-1].Position)
	}
	for i, outcome := range plainly.wait() {
		require.NoError(t, outcome.Err)
		require.Equal(t, persistence.Version(i+1), outcome.Last)
	}
	var want []string
	for i := range 2 * each {
		want = append(want, fmt.Sprint(i))
	}
	for stream := range streams {
		require.Equal(t, want, textsOf(j.events(persistence.StreamID(fmt.Sprintf("order-%d", stream)))))
	}
	require.Equal(t, want[:each], textsOf(j.events("order-any")))
	require.Len(t, j.all(), 2*streams*each+each)
}

// submitBroken lets an append fail in the middle of a chain. The append after it expects
// the version that is there, and would be stored without the chain.
func submitBroken(t *testing.T, s suite) {
	j := s.open(t)
	for round := range 5 {
		stream := persistence.StreamID(fmt.Sprintf("broken-%d", round))
		chain := new(persistence.Chain)
		p := newPipeline(j, 5, chain)

		p.submit(stream, persistence.NoStream, note("1"))
		p.submit(stream, persistence.Exact(7), note("fails"))
		p.submit(stream, persistence.Exact(1), note("fits by chance"))
		p.submit(stream, persistence.Any, note("fits always"))
		p.submit(stream, persistence.Exact(1), note("fits by chance"))

		outcomes := p.wait()
		require.NoError(t, outcomes[0].Err)
		require.ErrorIs(t, outcomes[1].Err, persistence.ErrConflict)
		for _, outcome := range outcomes[2:] {
			require.Equal(t, outcomes[1].Err, outcome.Err, "all appends after the first error of a chain get that error")
		}
		require.Equal(t, outcomes[1].Err, chain.Err())
		require.Equal(t, []string{"1"}, textsOf(j.events(stream)))
	}
}

// submitOvertaken breaks a chain by another writer, which then writes up to just the
// version that the chain's next append expects.
func submitOvertaken(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("overtaken-1", 2)
	chain := new(persistence.Chain)
	p := newPipeline(j, 4, chain)
	p.submit("overtaken-1", persistence.Exact(1), note("own 2"))
	first := p.wait()[0].Err
	require.ErrorIs(t, first, persistence.ErrConflict)

	p.submit("overtaken-1", persistence.Exact(2), note("own 3"))
	j.store("overtaken-1", persistence.Exact(2), note("foreign 3"))
	p.submit("overtaken-1", persistence.Exact(3), note("own 4"))

	for _, outcome := range p.wait() {
		require.Equal(t, first, outcome.Err)
	}
	p = newPipeline(j, 1, new(persistence.Chain))
	p.submit("overtaken-1", persistence.Exact(3), note("new 4"))
	require.NoError(t, p.wait()[0].Err, "a new chain works")
	require.Equal(t, []string{"overtaken-1 1", "overtaken-1 2", "foreign 3", "new 4"}, textsOf(j.events("overtaken-1")))
}

func submitApart(t *testing.T, s suite) {
	j := s.open(t)
	chained, other, free := newPipeline(j, 3, new(persistence.Chain)), newPipeline(j, 3, new(persistence.Chain)), newPipeline(j, 3, nil)

	chained.submit("apart-1", persistence.StreamExists, note("fails"))
	free.submit("apart-1", persistence.Exact(5), note("fails"))
	other.submit("apart-1", persistence.NoStream, note("1"))
	chained.submit("apart-2", persistence.NoStream, note("fails with its chain"))
	free.submit("apart-1", persistence.Exact(1), note("2"))
	other.submit("apart-1", persistence.Exact(2), note("3"))

	for _, outcome := range chained.wait() {
		require.ErrorIs(t, outcome.Err, persistence.ErrConflict)
	}
	for _, outcome := range other.wait() {
		require.NoError(t, outcome.Err)
	}
	outcomes := free.wait()
	require.ErrorIs(t, outcomes[0].Err, persistence.ErrConflict)
	require.NoError(t, outcomes[1].Err, "an append without a chain does not depend on earlier ones")
	require.Equal(t, []string{"1", "2", "3"}, textsOf(j.events("apart-1")))
	j.missing("apart-2")
}

func submitRefused(t *testing.T, s suite) {
	j := s.open(t)
	submitter := ability[persistence.Submitter](j.Journal)
	chain := new(persistence.Chain)
	for _, a := range []persistence.Append{
		{Events: notes("n", 1)},
		{Stream: "a\x00", Events: notes("n", 1)},
		{Stream: "refused-1", Expected: -3, Events: notes("n", 1)},
		{Stream: "refused-1", Events: []persistence.Event{{Type: "t", Payload: make([]byte, persistence.MaxPayload+1)}}},
		{Stream: "refused-1", Events: twice(named(note("n"))[0])},
		{Stream: "refused-1", Events: notes("n", persistence.MaxAppendEvents+1)},
	} {
		err := submitter.Submit(a, chain, func(persistence.Outcome) { t.Error("the callback was called for an append that was refused at once") })
		require.ErrorIs(t, err, persistence.ErrInvalid)
	}
	require.Empty(t, j.all())
}

func submitNamed(t *testing.T, s suite) {
	j := s.open(t)
	events := described("submitted")
	other := described("submitted")
	other[1].ID = events[1].ID
	p := newPipeline(j, 4, nil)

	p.submit("ids-1", persistence.NoStream, events...)
	p.submit("ids-1", persistence.NoStream, events...)
	p.submit("ids-1", persistence.Any, other...)
	p.submit("ids-1", persistence.Exact(3), note("4"))

	outcomes := p.wait()
	first := outcomes[0]
	require.NoError(t, first.Err)
	first.Duplicate = true
	require.Equal(t, first, outcomes[1])
	require.ErrorIs(t, outcomes[2].Err, persistence.ErrEventIDReused)
	require.NoError(t, outcomes[3].Err)
	require.Len(t, j.all(), 4)
	cameBack(j, "ids-1", append(events[:3:3], note("4")))
}

func submitNothing(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("nothing-1", 2)
	p := newPipeline(j, 2, new(persistence.Chain))

	p.submit("nothing-1", persistence.Exact(2))
	p.submit("nothing-2", persistence.NoStream)

	require.Equal(t, []persistence.Outcome{{Last: 2}, {}}, p.wait())
	p = newPipeline(j, 3, new(persistence.Chain))
	p.submit("nothing-1", persistence.Exact(2), note("3"))
	p.submit("nothing-1", persistence.Exact(2))
	p.submit("nothing-1", persistence.Exact(3), note("4"))
	outcomes := p.wait()
	require.NoError(t, outcomes[0].Err)
	require.ErrorIs(t, outcomes[1].Err, persistence.ErrConflict, "an append sees those that were submitted before it")
	require.Error(t, outcomes[2].Err, "a failed append ends its chain")
	require.Equal(t, persistence.Version(3), j.info("nothing-1").Version)
	j.missing("nothing-2")
}

func submitDone(t *testing.T, s suite) {
	j := s.open(t)
	p := newPipeline(j, 60, nil)
	for i := range 60 {
		p.submit(persistence.StreamID(fmt.Sprintf("done-%d", i%3)), persistence.Exact(persistence.Version(i/6)), note(fmt.Sprint(i)))
	}
	p.wait()

	require.NoError(t, j.Close())

	require.Empty(t, p.settled, "the callback is called once")
}

func submitClose(t *testing.T, s suite) {
	j := s.open(t)
	const count = 300
	p := newPipeline(j, count, nil)
	for i := range count {
		p.submit(sharedStream(i), persistence.Any, note(fmt.Sprint(i)))
	}

	require.NoError(t, j.Close())

	require.Len(t, p.settled, count, "all appends are settled once when Close returns")
	for _, outcome := range p.wait() {
		err := outcome.Err
		require.True(t, err == nil || errors.Is(err, persistence.ErrUnavailable) || errors.Is(err, persistence.ErrUnknownOutcome), "%v", err)
	}
}

// submitChains lets writers pipeline to streams while others append to them at any moment.
// Of each chain, a beginning must be stored and nothing after it.
func submitChains(t *testing.T, s suite) {
	j := s.open(t)
	var l ledger
	var writers errgroup.Group

	for writer := range 4 {
		writers.Go(func() error {
			for round := range 10 {
				if err := pipelineOnce(j, &l, writer, round); err != nil {
					return err
				}
			}
			return nil
		})
		writers.Go(func() error {
			for attempt := range 20 {
				l.attempt(j, sharedStream(attempt), persistence.Any, labelled(10+writer, attempt, 1)...)
			}
			return nil
		})
	}

	require.NoError(t, writers.Wait())
	l.verify(j)
}

// pipelineOnce writes one chain of ten appends. It returns an error when one was stored
// after the first failure.
func pipelineOnce(j journal, l *ledger, writer, round int) error {
	stream := sharedStream(writer + round)
	info, err := j.Stream(j.ctx, stream)
	if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
		return err
	}
	const length = 10
	chain := new(persistence.Chain)
	p := newPipeline(j, length, chain)
	for i := range length {
		p.submit(stream, persistence.Exact(info.Version+persistence.Version(i)), labelled(writer, round*length+i, 1)...)
	}
	outcomes, err := p.gather()
	if err != nil {
		return err
	}
	broken := false
	for i, outcome := range outcomes {
		l.write(stream, labelled(writer, round*length+i, 1), outcome)
		switch {
		case broken && outcome.Err == nil:
			return fmt.Errorf("append %d was stored on a broken chain", i)
		case outcome.Err == nil && outcome.First != info.Version+persistence.Version(i)+1:
			return fmt.Errorf("expected %d, stored from %d", info.Version+persistence.Version(i), outcome.First)
		}
		broken = broken || outcome.Err != nil
	}
	return nil
}
