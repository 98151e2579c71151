package journaltest

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

var models = cases{
	"any sequence of calls is answered as by the model": behavesLikeModel,
}

// modelTime bounds the search on a journal that is slow. A fast one has as many
// sequences as rapid is told.
const modelTime = 10 * time.Second

// behavesLikeModel has rapid look for a sequence of calls that the journal
// answers otherwise than the model, and shrink it. All sequences run on one
// journal, each on streams of its own.
func behavesLikeModel(t *testing.T, s suite) {
	j := s.open(t)
	run, found, begin := 0, false, time.Now()
	rapid.Check(t, func(r *rapid.T) {
		defer func() { found = found || r.Failed() }()
		if !found && time.Since(begin) > modelTime {
			return
		}
		run++
		bound := j
		bound.t = r
		m := newModel(bound, run)
		r.Repeat(map[string]func(*rapid.T){
			"append":   m.append,
			"read":     m.read,
			"read all": m.readAll,
			"stream":   m.stream,
			"pages":    m.pages,
			"submit":   m.submit,
		})
		m.readWhole()
	})
}

// model is the contract in its simplest form: slices of events.
type model struct {
	journal
	names   []persistence.StreamID
	ids     []persistence.EventID
	streams map[persistence.StreamID][]*persistence.Recorded
	named   map[persistence.StreamID]map[persistence.EventID]persistence.Version
	log     []*persistence.Recorded
	fresh   []*persistence.Recorded // stored by the call under way
	base    persistence.Positions   // where the model's part of the sequence begins
	head    persistence.Positions
}

func newModel(j journal, run int) *model {
	m := &model{
		journal: j,
		streams: map[persistence.StreamID][]*persistence.Recorded{},
		named:   map[persistence.StreamID]map[persistence.EventID]persistence.Version{},
		base:    j.head(),
	}
	m.head = m.base
	for _, form := range []string{"model-%d-a", "model-%d-b", "$model-%d"} {
		m.names = append(m.names, persistence.StreamID(fmt.Sprintf(form, run)))
	}
	for range 5 {
		m.ids = append(m.ids, persistence.NewEventID())
	}
	return m
}

// append makes a call of one to three appends, most of which can succeed.
func (m *model) append(r *rapid.T) {
	appends := rapid.SliceOfN(rapid.Custom(m.draw), 1, 3).Draw(r, "appends")
	invalid := slices.ContainsFunc(appends, func(a persistence.Append) bool { return a.Check() != nil })

	outcomes, err := m.Append(m.ctx, appends...)

	if invalid {
		require.ErrorIs(m.t, err, persistence.ErrInvalid)
		return
	}
	require.NoError(m.t, err)
	require.Len(m.t, outcomes, len(appends))
	for i := range appends {
		m.settle(&appends[i], outcomes[i])
	}
	m.publish()
}

func (m *model) submit(r *rapid.T) {
	if _, ok := m.Journal.(persistence.Submitter); !ok {
		return
	}
	appends := rapid.SliceOfN(rapid.Custom(m.draw), 1, 3).Draw(r, "chain")
	p := m.pipeline(len(appends), new(persistence.Chain))
	for i := range appends {
		p.submit(appends[i].Stream, appends[i].Expected, slices.Clone(appends[i].Events)...)
	}
	broken := false
	for i, outcome := range p.wait() {
		switch {
		case broken:
			require.Error(m.t, outcome.Err)
		case appends[i].Check() != nil:
			require.ErrorIs(m.t, outcome.Err, persistence.ErrInvalid)
		default:
			m.settle(&appends[i], outcome)
			broken = outcome.Err != nil
		}
	}
	m.publish()
}

func (m *model) draw(r *rapid.T) persistence.Append {
	a := persistence.Append{Stream: rapid.SampledFrom(m.names).Draw(r, "stream")}
	version := persistence.Version(len(m.streams[a.Stream]))
	a.Expected = rapid.SampledFrom([]persistence.Expected{
		persistence.Any, persistence.Any, persistence.Exact(version), persistence.Exact(version), persistence.Exact(version + 1),
		persistence.NoStream, persistence.StreamExists,
	}).Draw(r, "expected")
	count := rapid.IntRange(0, 3).Draw(r, "count")
	first := rapid.IntRange(-3, len(m.ids)-1).Draw(r, "first id")
	for i := range count {
		e := note(rapid.SampledFrom([]string{"", "x", "y"}).Draw(r, "text"))
		if first >= 0 {
			id := (first + i) % len(m.ids)
			e = note(fmt.Sprint(id)) // mostly the same content for the same id
			if rapid.IntRange(0, 9).Draw(r, "other content") == 9 {
				e.Type = "other"
			}
			e.ID = m.ids[id]
		}
		a.Events = append(a.Events, e)
	}
	return a
}

// settle requires the outcome that the contract gives an append, and changes the
// model's stream by it. Its place in the sequence is for publish to check, because
// the order of a call holds for each of its streams and not between them.
func (m *model) settle(a *persistence.Append, got persistence.Outcome) {
	m.t.Helper()
	stream := m.streams[a.Stream]
	version := persistence.Version(len(stream))
	if len(a.Events) == 0 {
		require.Equal(m.t, persistence.Outcome{Last: version}, got)
		return
	}
	duplicate, reused := m.overlap(a)
	switch {
	case reused:
		require.ErrorIs(m.t, got.Err, persistence.ErrEventIDReused)
	case duplicate > 0:
		last := duplicate + persistence.Version(len(a.Events)) - 1
		require.Equal(m.t, persistence.Outcome{First: duplicate, Last: last, Position: stream[duplicate-1].Position, Duplicate: true}, got)
	case !a.Expected.Accepts(version):
		conflict, _ := errors.AsType[*persistence.ConflictError](got.Err)
		require.Equal(m.t, &persistence.ConflictError{Stream: a.Stream, Expected: a.Expected, Actual: version}, conflict)
	default:
		require.Equal(m.t, persistence.Outcome{First: version + 1, Last: version + persistence.Version(len(a.Events)), Position: got.Position}, got)
		m.add(a, got.Position)
	}
}

// overlap compares the ids of an append with those of its stream: it returns the
// version of the first when all are there as a run with the same content.
func (m *model) overlap(a *persistence.Append) (duplicate persistence.Version, reused bool) {
	if !a.Named() {
		return 0, false
	}
	known := m.named[a.Stream]
	found, same := 0, true
	for i := range a.Events {
		version := known[a.Events[i].ID]
		if version == 0 {
			continue
		}
		found++
		same = same && version == known[a.Events[0].ID]+persistence.Version(i) && m.streams[a.Stream][version-1].SameContent(&a.Events[i])
	}
	if found == len(a.Events) && same {
		return known[a.Events[0].ID], false
	}
	return 0, found > 0
}

func (m *model) add(a *persistence.Append, position persistence.Position) {
	for i := range a.Events {
		stored := &persistence.Recorded{
			Event: a.Events[i], Stream: a.Stream, Version: persistence.Version(len(m.streams[a.Stream]) + 1), Position: position,
		}
		m.streams[a.Stream] = append(m.streams[a.Stream], stored)
		m.fresh = append(m.fresh, stored)
		if a.Named() {
			if m.named[a.Stream] == nil {
				m.named[a.Stream] = map[persistence.EventID]persistence.Version{}
			}
			m.named[a.Stream][stored.ID] = stored.Version
		}
		position.Offset++
	}
}

// publish requires that what a call has stored follows the head without gap.
func (m *model) publish() {
	m.t.Helper()
	slices.SortFunc(m.fresh, func(a, b *persistence.Recorded) int { return cmp.Compare(a.Position.Offset, b.Position.Offset) })
	for _, stored := range m.fresh {
		require.Equal(m.t, m.head.Of(stored.Position.Part).Offset+1, stored.Position.Offset)
		m.head = m.head.With(stored.Position)
	}
	m.log = append(m.log, m.fresh...)
	m.fresh = nil
}

func (m *model) stream(r *rapid.T) {
	name := rapid.SampledFrom(m.names).Draw(r, "stream")
	info, err := m.Stream(m.ctx, name)
	if len(m.streams[name]) == 0 {
		require.ErrorIs(m.t, err, persistence.ErrStreamNotFound)
		return
	}
	require.NoError(m.t, err)
	require.Equal(m.t, persistence.StreamInfo{Stream: name, Version: persistence.Version(len(m.streams[name])), First: 1, Begin: 1}, info)
	require.True(m.t, samePlace(m.head, m.journal.head()))
}

func (m *model) read(r *rapid.T) {
	name := rapid.SampledFrom(m.names).Draw(r, "stream")
	count := persistence.Version(len(m.streams[name]))
	options := persistence.ReadOptions{
		From:     rapid.SampledFrom([]persistence.Version{0, 1, 2, count / 2, count, count + 1, persistence.MaxVersion}).Draw(r, "from"),
		Limit:    rapid.IntRange(0, 5).Draw(r, "limit"),
		Backward: rapid.Bool().Draw(r, "backward"),
	}

	events, err := m.journal.read(name, options)

	if count == 0 {
		require.ErrorIs(m.t, err, persistence.ErrStreamNotFound)
		return
	}
	require.NoError(m.t, err)
	var want []*persistence.Recorded
	for _, version := range chosen(count, options) {
		want = append(want, m.streams[name][version-1])
	}
	m.same(want, events)
}

func (m *model) pages(r *rapid.T) {
	pages, ok := m.Journal.(persistence.PageReader)
	if !ok {
		return
	}
	var requests []persistence.PageRequest
	for _, name := range m.names {
		from := rapid.IntRange(0, 1+len(m.streams[name])).Draw(r, "from")
		requests = append(requests, persistence.PageRequest{Stream: name, From: persistence.Version(from), Limit: rapid.IntRange(1, 4).Draw(r, "limit")})
	}

	got, err := pages.ReadPages(m.ctx, requests)

	require.NoError(m.t, err)
	for i, request := range requests {
		require.NoError(m.t, got[i].Err)
		stream := m.streams[request.Stream]
		var want []*persistence.Recorded
		for _, version := range chosen(persistence.Version(len(stream)), persistence.ReadOptions{From: request.From, Limit: request.Limit}) {
			want = append(want, stream[version-1])
		}
		m.same(want, got[i].Events)
	}
}

// readAll reads on from a place in the model's part of the sequence.
func (m *model) readAll(r *rapid.T) {
	after := m.base
	skip := rapid.IntRange(0, len(m.log)).Draw(r, "after")
	for _, stored := range m.log[:skip] {
		after = after.With(stored.Position)
	}
	m.readOn(skip, persistence.ReadAllOptions{
		After: after, System: rapid.Bool().Draw(r, "system"),
		PageRows: rapid.IntRange(0, 4).Draw(r, "rows"), PageBytes: rapid.SampledFrom([]int{0, 1, 100, 500}).Draw(r, "bytes"),
	})
}

// readWhole is the last look at everything.
func (m *model) readWhole() {
	m.readOn(0, persistence.ReadAllOptions{After: m.base, System: true})
	for _, name := range m.names {
		m.same(m.streams[name], m.events(name))
	}
}

func (m *model) readOn(skip int, options persistence.ReadAllOptions) {
	m.t.Helper()
	var want []*persistence.Recorded
	for _, stored := range m.log[skip:] {
		if options.System || stored.Stream[0] != '$' {
			want = append(want, stored)
		}
	}
	got := m.follow(options)
	byPart := func(a, b persistence.Recorded) int { return int(a.Position.Part) - int(b.Position.Part) }
	slices.SortStableFunc(want, func(a, b *persistence.Recorded) int { return byPart(*a, *b) })
	slices.SortStableFunc(got, byPart) // partitions have no order among each other
	m.same(want, got)
}

// same compares what was read with the model, which learns from the first
// reading what the journal made up: ids and times.
func (m *model) same(want []*persistence.Recorded, got []persistence.Recorded) {
	m.t.Helper()
	require.Len(m.t, got, len(want))
	for i, stored := range want {
		if stored.At.IsZero() {
			stored.At = got[i].At
			require.False(m.t, stored.At.IsZero())
		}
		if stored.ID == (persistence.EventID{}) {
			stored.ID = got[i].ID
			require.NotEqual(m.t, persistence.EventID{}, stored.ID)
		}
		require.Equal(m.t, plain([]persistence.Recorded{*stored}), plain(got[i:i+1]))
	}
}
