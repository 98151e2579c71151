package journaltest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/stele-es/stele/persistence"
)

var models = cases{
	"any sequence of calls is answered as the model answers it": behavesLikeModel,
}

// modelTime limits the search on a slow journal. A fast one runs all sequences that rapid
// is told to.
const modelTime = 10 * time.Second

// behavesLikeModel lets rapid search for a sequence of calls to which the journal and the
// model give different answers, and shrink it. All sequences run on one journal, each on
// streams of its own.
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
		r.Repeat(m.actions())
		m.readWhole()
	})
}

// model is the contract in its simplest form: slices of events.
type model struct {
	journal
	run     int
	names   []persistence.StreamID
	ids     []persistence.EventID
	streams map[persistence.StreamID]*modelStream
	log     []*persistence.Recorded
	fresh   []*persistence.Recorded // stored by the call under way
	base    persistence.Positions   // where the model's part of the sequence begins
	head    persistence.Positions
}

// modelStream is a stream with all its events. Events before info.First cannot be read.
type modelStream struct {
	events   []*persistence.Recorded
	named    map[persistence.EventID]persistence.Version
	info     persistence.StreamInfo
	created  bool
	snapshot *persistence.Snapshot
}

func (s *modelStream) exists() bool { return s.created || s.readable() }

func (s *modelStream) readable() bool { return s.info.Version >= s.info.First }

func (s *modelStream) admits(expected persistence.Expected) bool {
	return expected.Admits(s.info.Version, s.info.First, s.created)
}

func newModel(j journal, run int) *model {
	m := &model{journal: j, run: run, streams: map[persistence.StreamID]*modelStream{}, base: j.head()}
	m.head = m.base
	for _, form := range []string{"model%d-a", "model%d-b", "$model%d-s"} {
		name := persistence.StreamID(fmt.Sprintf(form, run))
		m.names = append(m.names, name)
		m.streams[name] = &modelStream{
			named: map[persistence.EventID]persistence.Version{}, info: persistence.StreamInfo{Stream: name, First: 1, Begin: 1},
		}
	}
	for range 5 {
		m.ids = append(m.ids, persistence.NewEventID())
	}
	return m
}

// actions are the calls that the journal can answer.
func (m *model) actions() map[string]func(*rapid.T) {
	actions := map[string]func(*rapid.T){
		"append": m.append, "append again": m.append, "read": m.read, "read all": m.readAll, "stream": m.stream, "list": m.listing,
		"create": m.creating, "set metadata": m.setMetadata, "delete": m.deleting, "truncate": m.truncating,
	}
	if has[persistence.Submitter](m.Journal) {
		actions["submit"] = m.submit
	}
	if has[persistence.PageReader](m.Journal) {
		actions["pages"] = m.pages
	}
	if has[persistence.Transactor](m.Journal) {
		actions["transact"] = m.transacting
	}
	if has[persistence.Scavenger](m.Journal) {
		actions["scavenge"] = m.scavenging
	}
	if has[persistence.Snapshots](m.Journal) {
		actions["snapshot"] = m.snapshotting
	}
	return actions
}

// append makes a call of one to three appends. Most of them can succeed.
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
	appends := rapid.SliceOfN(rapid.Custom(m.draw), 1, 3).Draw(r, "chain")
	p := newPipeline(m.journal, len(appends), new(persistence.Chain))
	for i := range appends {
		p.submit(appends[i].Stream, appends[i].Expected, slices.Clone(appends[i].Events)...)
	}
	broken := false
	for i, outcome := range p.wait() {
		if broken {
			require.Error(m.t, outcome.Err)
			continue
		}
		m.settle(&appends[i], outcome)
		broken = outcome.Err != nil && appends[i].Check() == nil
	}
	m.publish()
}

// transacting appends several times in a transaction, checks what it sees, and commits or
// rolls back.
func (m *model) transacting(r *rapid.T) {
	appends := rapid.SliceOfN(rapid.Custom(m.draw), 0, 4).Draw(r, "transaction")
	var changed error
	if rapid.IntRange(0, 2).Draw(r, "commit") == 0 {
		changed = errors.New("changed his mind")
	}
	before := m.remember()
	var poison error

	err := transact(m.journal, func(_ context.Context, tx persistence.Transaction) error {
		for i := range appends {
			outcomes, err := tx.Append(appends[i])
			if poison != nil {
				require.Equal(m.t, poison, err)
				continue
			}
			outcome := persistence.Outcome{Err: err}
			if err == nil {
				outcome = outcomes[0]
			}
			m.settle(&appends[i], outcome)
			poison = err
			if name := appends[i].Stream; err == nil && m.streams[name].readable() {
				events, err := tx.Read(name, persistence.ReadOptions{})
				require.NoError(m.t, err)
				require.Len(m.t, events, int(m.streams[name].info.Version-m.streams[name].info.First+1))
			}
		}
		return changed
	})

	require.Equal(m.t, cmp.Or(changed, poison), err)
	if err != nil {
		m.streams, m.fresh = before, nil
		return
	}
	m.publish()
}

// remember returns a copy of the streams as they are now.
func (m *model) remember() map[persistence.StreamID]*modelStream {
	before := map[persistence.StreamID]*modelStream{}
	for name, stream := range m.streams {
		own := *stream
		own.events, own.named = slices.Clone(stream.events), maps.Clone(stream.named)
		before[name] = &own
	}
	return before
}

func (m *model) draw(r *rapid.T) persistence.Append {
	a := persistence.Append{Stream: rapid.SampledFrom(m.names).Draw(r, "stream")}
	version := m.streams[a.Stream].info.Version
	a.Expected = m.drawExpected(r, version)
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

func (m *model) drawExpected(r *rapid.T, version persistence.Version) persistence.Expected {
	return rapid.SampledFrom([]persistence.Expected{
		persistence.Any, persistence.Any, persistence.Exact(version), persistence.Exact(version), persistence.Exact(version + 1),
		persistence.NoStream, persistence.StreamExists,
	}).Draw(r, "expected")
}

// settle requires the outcome that the contract gives an append, and changes the model's
// stream. It leaves the place in the sequence to publish, because a call has an order
// within each stream and none between streams.
func (m *model) settle(a *persistence.Append, got persistence.Outcome) {
	m.t.Helper()
	if a.Check() != nil {
		require.ErrorIs(m.t, got.Err, persistence.ErrInvalid)
		return
	}
	stream := m.streams[a.Stream]
	version := stream.info.Version
	if len(a.Events) == 0 && stream.admits(a.Expected) {
		require.Equal(m.t, persistence.Outcome{Last: version}, got)
		return
	}
	duplicate, reused := stream.overlap(a)
	switch {
	case reused:
		require.ErrorIs(m.t, got.Err, persistence.ErrEventIDReused)
	case duplicate > 0:
		last := duplicate + persistence.Version(len(a.Events)) - 1
		require.Equal(m.t, persistence.Outcome{First: duplicate, Last: last, Position: stream.events[duplicate-1].Position, Duplicate: true}, got)
	case !stream.admits(a.Expected):
		m.conflicts(a.Stream, a.Expected, got.Err)
	default:
		require.Equal(m.t, persistence.Outcome{First: version + 1, Last: version + persistence.Version(len(a.Events)), Position: got.Position}, got)
		m.add(a, got.Position)
	}
}

func (m *model) conflicts(name persistence.StreamID, expected persistence.Expected, err error) {
	m.t.Helper()
	conflict, _ := errors.AsType[*persistence.ConflictError](err)
	require.Equal(m.t, &persistence.ConflictError{Stream: name, Expected: expected, Actual: m.streams[name].info.Version}, conflict)
}

// overlap compares the ids of an append with those of its stream. When all are there, side
// by side and with the same content, it returns the version of the first.
func (s *modelStream) overlap(a *persistence.Append) (duplicate persistence.Version, reused bool) {
	if !a.Named() {
		return 0, false
	}
	found, same := 0, true
	for i := range a.Events {
		version := s.named[a.Events[i].ID]
		if version == 0 {
			continue
		}
		found++
		same = same && version == s.named[a.Events[0].ID]+persistence.Version(i) && s.events[version-1].SameContent(&a.Events[i])
	}
	if found == len(a.Events) && same {
		return s.named[a.Events[0].ID], false
	}
	return 0, found > 0
}

func (m *model) add(a *persistence.Append, position persistence.Position) {
	stream := m.streams[a.Stream]
	for i := range a.Events {
		stream.info.Version++
		stored := &persistence.Recorded{Event: a.Events[i], Stream: a.Stream, Version: stream.info.Version, Position: position}
		stream.events = append(stream.events, stored)
		m.fresh = append(m.fresh, stored)
		if a.Named() {
			stream.named[stored.ID] = stored.Version
		}
		position.Offset++
	}
}

// publish requires that the events of a call follow the head without gap.
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

// pick draws a stream.
func (m *model) pick(r *rapid.T) (persistence.StreamID, *modelStream) {
	name := rapid.SampledFrom(m.names).Draw(r, "stream")
	return name, m.streams[name]
}

// was reports whether a stream exists. If not, it requires that err says so.
func (m *model) was(stream *modelStream, err error) bool {
	m.t.Helper()
	if !stream.exists() {
		require.ErrorIs(m.t, err, persistence.ErrStreamNotFound)
	}
	return stream.exists()
}

func (m *model) stream(r *rapid.T) {
	name, stream := m.pick(r)
	info, err := m.Stream(m.ctx, name)
	if m.was(stream, err) {
		require.NoError(m.t, err)
		require.Equal(m.t, stream.info, tidy(info))
	}
	require.True(m.t, samePlace(m.head, m.journal.head()))
}

func (m *model) creating(r *rapid.T) {
	name, stream := m.pick(r)
	metadata := m.drawMetadata(r)
	err := m.Create(m.ctx, name, metadata)
	if stream.exists() {
		require.ErrorIs(m.t, err, persistence.ErrStreamExists)
		return
	}
	require.NoError(m.t, err)
	stream.created, stream.info.Metadata = true, metadata
	if metadata != nil {
		stream.info.Revision++
	}
}

func (m *model) drawMetadata(r *rapid.T) persistence.Metadata {
	return rapid.SampledFrom([]persistence.Metadata{nil, {"k": persistence.Int(1)}, {"k": persistence.Int(2)}, {"k": persistence.Int(1), "l": persistence.Bool(true)}}).Draw(r, "metadata")
}

func (m *model) setMetadata(r *rapid.T) {
	name, stream := m.pick(r)
	metadata := m.drawMetadata(r)
	info := &stream.info
	expected := rapid.SampledFrom([]persistence.Revision{persistence.AnyRevision, info.Revision, info.Revision, info.Revision + 1, 0}).Draw(r, "revision")
	revision, err := m.SetMetadata(m.ctx, name, metadata, expected)
	switch {
	case !m.was(stream, err):
		return
	case !info.Metadata.Equal(metadata) && expected != persistence.AnyRevision && expected != info.Revision:
		refused, _ := errors.AsType[*persistence.RevisionError](err)
		require.Equal(m.t, &persistence.RevisionError{Stream: name, Expected: expected, Actual: info.Revision}, refused)
		return
	case !info.Metadata.Equal(metadata):
		info.Metadata = metadata
		info.Revision++
	}
	require.NoError(m.t, err)
	require.Equal(m.t, info.Revision, revision)
}

func (m *model) deleting(r *rapid.T) {
	name, stream := m.pick(r)
	expected := m.drawExpected(r, stream.info.Version)
	version, err := m.Delete(m.ctx, name, expected)
	if !m.was(stream, err) {
		return
	}
	if !stream.admits(expected) {
		m.conflicts(name, expected, err)
		return
	}
	require.NoError(m.t, err)
	require.Equal(m.t, stream.info.Version+1, version)
	place := m.head.Of(0)
	place.Offset++
	m.add(&persistence.Append{Stream: name, Events: []persistence.Event{{Type: persistence.TypeDeleted}}}, place)
	m.publish()
	info := &stream.info
	info.First, info.Begin, info.Metadata = version+1, version+1, nil
	info.Revision++
	stream.created, stream.snapshot = false, nil
	clear(stream.named)
}

func (m *model) truncating(r *rapid.T) {
	name, stream := m.pick(r)
	info := &stream.info
	before := rapid.SampledFrom([]persistence.Version{0, 1, info.First, info.First + 1, info.Version, info.Version + 1, persistence.MaxVersion}).Draw(r, "before")
	first, err := m.Truncate(m.ctx, name, before)
	if m.was(stream, err) {
		require.NoError(m.t, err)
		info.First = max(info.First, min(before, info.Version))
		require.Equal(m.t, info.First, first)
	}
}

func (m *model) scavenging(r *rapid.T) {
	name, stream := m.pick(r)
	husks := 0
	for _, stored := range stream.events[:stream.info.First-1] {
		if stored.Type != persistence.TypeGone && stored.Type != persistence.TypeDeleted {
			stored.Event = persistence.Event{Type: persistence.TypeGone}
			husks++
		}
	}
	maps.DeleteFunc(stream.named, func(_ persistence.EventID, version persistence.Version) bool { return version < stream.info.First })
	require.Equal(m.t, husks, m.scavenge(name))
}

func (m *model) snapshotting(r *rapid.T) {
	name, stream := m.pick(r)
	version := persistence.Version(rapid.IntRange(0, int(stream.info.Version)+1).Draw(r, "version"))
	if version > 0 {
		snapshot := stateOf(name, version, fmt.Sprint(version))
		saveSnapshot(m.journal, snapshot)
		if stream.exists() && version+1 >= stream.info.First && (stream.snapshot == nil || stream.snapshot.Version <= version) {
			stream.snapshot = &snapshot
		}
	}
	if stream.snapshot == nil {
		noSnapshot(m.journal, name)
		return
	}
	hasSnapshot(m.journal, *stream.snapshot)
	if rapid.IntRange(0, 9).Draw(r, "forget") == 9 {
		require.NoError(m.t, snapshotsOf(m.journal).DeleteSnapshot(m.ctx, name))
		stream.snapshot = nil
	}
}

// The filters of the model, by their names.
var modelFilters = map[string]func(*persistence.Recorded) bool{
	"":          nil,
	"even":      func(recorded *persistence.Recorded) bool { return recorded.Version%2 == 0 },
	"x":         func(recorded *persistence.Recorded) bool { return string(recorded.Payload) == "x" },
	"tombstone": func(recorded *persistence.Recorded) bool { return recorded.Type == persistence.TypeDeleted },
}

func drawFilter(r *rapid.T) (match func(*persistence.Recorded) bool, f persistence.Filter) {
	match = modelFilters[rapid.SampledFrom([]string{"", "", "even", "x", "tombstone"}).Draw(r, "filter")]
	if match == nil {
		return func(*persistence.Recorded) bool { return true }, nil
	}
	return match, where(match)
}

func (m *model) read(r *rapid.T) {
	name, stream := m.pick(r)
	info := &stream.info
	match, f := drawFilter(r)
	options := persistence.ReadOptions{
		From:     rapid.SampledFrom([]persistence.Version{0, 0, 1, 2, info.First, info.First - 1, info.Version, info.Version + 1, persistence.MaxVersion}).Draw(r, "from"),
		Limit:    rapid.IntRange(0, 5).Draw(r, "limit"),
		Backward: rapid.Bool().Draw(r, "backward"),
		Filter:   f,
	}

	events, err := m.journal.read(name, options)
	count, countErr := m.Count(m.ctx, name, options)

	if !m.was(stream, err) {
		require.ErrorIs(m.t, countErr, persistence.ErrStreamNotFound)
		return
	}
	if !options.Backward && options.From > 0 && options.From < info.First && stream.readable() {
		truncatedAt(m.journal, name, info.First, err)
		truncatedAt(m.journal, name, info.First, countErr)
		return
	}
	require.NoError(m.t, err)
	require.NoError(m.t, countErr)
	m.same(stream.chosen(options, match), events)
	require.Equal(m.t, len(events), count)
}

// chosen returns the events of a stream that options and a filter choose.
func (s *modelStream) chosen(options persistence.ReadOptions, match func(*persistence.Recorded) bool) []*persistence.Recorded {
	limit := options.Limit
	options.Limit = 0
	var events []*persistence.Recorded
	for _, version := range chosen(s.info.Version, options) {
		if stored := s.events[version-1]; version >= s.info.First && match(stored) && (limit == 0 || len(events) < limit) {
			events = append(events, stored)
		}
	}
	return events
}

func (m *model) pages(r *rapid.T) {
	var requests []persistence.PageRequest
	for _, name := range m.names {
		from := rapid.IntRange(0, 1+int(m.streams[name].info.Version)).Draw(r, "from")
		requests = append(requests, persistence.PageRequest{Stream: name, From: persistence.Version(from), Limit: rapid.IntRange(1, 4).Draw(r, "limit")})
	}

	got, err := ability[persistence.PageReader](m.Journal).ReadPages(m.ctx, requests)

	require.NoError(m.t, err)
	for i, request := range requests {
		stream := m.streams[request.Stream]
		if stream.readable() && request.From > 0 && request.From < stream.info.First {
			truncatedAt(m.journal, request.Stream, stream.info.First, got[i].Err)
			continue
		}
		require.NoError(m.t, got[i].Err)
		options := persistence.ReadOptions{From: request.From, Limit: request.Limit}
		m.same(stream.chosen(options, func(*persistence.Recorded) bool { return true }), got[i].Events)
	}
}

// listing compares the list of the model's own streams.
func (m *model) listing(r *rapid.T) {
	options := persistence.ListOptions{
		Pattern:  fmt.Sprintf(rapid.SampledFrom([]string{`^\$?model%d-`, `^\$?model%d-[as]$`, `model%d-b$`}).Draw(r, "pattern"), m.run),
		Category: rapid.SampledFrom([]string{"", "", fmt.Sprintf("model%d", m.run), fmt.Sprintf("$model%d", m.run)}).Draw(r, "category"),
		After:    rapid.SampledFrom([]string{"", "", string(m.names[0]), string(m.names[2])}).Draw(r, "after"),
		Metadata: m.drawMetadata(r),
		Limit:    rapid.IntRange(0, 3).Draw(r, "limit"), Offset: rapid.IntRange(0, 2).Draw(r, "offset"),
		System: rapid.Bool().Draw(r, "system"),
	}
	match, err := options.Matcher()
	require.NoError(m.t, err)
	var want []persistence.StreamInfo
	for _, name := range slices.Sorted(slices.Values(m.names)) {
		stream := m.streams[name]
		if stream.exists() && match(string(name)) && string(name) > options.After && (options.Category == "" || options.Category == name.Category()) && options.MatchesMetadata(stream.info.Metadata) {
			want = append(want, stream.info)
		}
	}
	want = want[min(options.Offset, len(want)):]
	if options.Limit > 0 {
		want = want[:min(options.Limit, len(want))]
	}
	require.Equal(m.t, append([]persistence.StreamInfo(nil), want...), m.list(options))

	var categories []string
	for _, name := range []persistence.StreamID{m.names[2], m.names[0], m.names[1]} {
		if category := name.Category(); m.streams[name].exists() && !slices.Contains(categories, category) {
			categories = append(categories, category)
		}
	}
	require.Equal(m.t, categories, categoriesOf(m.journal, persistence.ListOptions{Pattern: fmt.Sprintf(`^\$?model%d$`, m.run), System: true}))
}

// readAll reads forward or backward from a place in the model's part of the sequence.
func (m *model) readAll(r *rapid.T) {
	after := m.base
	skip := rapid.IntRange(0, len(m.log)).Draw(r, "after")
	for _, stored := range m.log[:skip] {
		after = after.With(stored.Position)
	}
	match, f := drawFilter(r)
	options := persistence.ReadAllOptions{
		After: after, System: rapid.Bool().Draw(r, "system"), Filter: f,
		PageRows: rapid.IntRange(0, 4).Draw(r, "rows"), PageBytes: rapid.SampledFrom([]int{0, 1, 100, 500}).Draw(r, "bytes"),
	}
	if rapid.IntRange(0, 2).Draw(r, "backward") == 0 {
		m.readBack(skip, options, match)
		return
	}
	m.readOn(skip, options, match)
}

// readWhole compares everything at the end.
func (m *model) readWhole() {
	all := func(*persistence.Recorded) bool { return true }
	m.readOn(0, persistence.ReadAllOptions{After: m.base, System: true}, all)
	for _, name := range m.names {
		if stream := m.streams[name]; stream.exists() {
			m.same(stream.chosen(persistence.ReadOptions{}, all), m.events(name))
			require.Equal(m.t, stream.info, m.info(name))
			continue
		}
		m.missing(name)
	}
}

func (m *model) readOn(skip int, options persistence.ReadAllOptions, match func(*persistence.Recorded) bool) {
	m.t.Helper()
	want := m.shown(m.log[skip:], options, match)
	got := m.follow(options)
	byPart := func(a, b persistence.Recorded) int { return int(a.Position.Part) - int(b.Position.Part) }
	slices.SortStableFunc(want, func(a, b *persistence.Recorded) int { return byPart(*a, *b) })
	slices.SortStableFunc(got, byPart) // partitions have no order between them
	m.same(want, got)
}

// readBack reads back from a place until the model's part of the sequence ends.
func (m *model) readBack(skip int, options persistence.ReadAllOptions, match func(*persistence.Recorded) bool) {
	m.t.Helper()
	before := m.log[:max(skip, 1)-1] // the event at the place has been seen
	if skip == len(m.log) {
		options.After, before = nil, m.log
	} else if skip == 0 {
		return
	}
	want := m.shown(before, options, match)
	slices.Reverse(want)
	options.Backward = true
	beyond := m.journal
	beyond.husks = true // the last page ends among what earlier sequences have left
	var got []persistence.Recorded
	for page, err := range m.ReadAll(m.ctx, options) {
		require.NoError(m.t, err)
		beyond.checkBackward(page, options.After, options)
		for _, recorded := range page.Events {
			if !m.base.Covers(recorded.Position) {
				got = append(got, recorded)
			}
		}
		if options.After = page.Next; samePlace(m.base, page.Next) || m.base.Covers(page.Next.Of(0)) {
			break
		}
	}
	m.same(want, got)
}

// shown returns the events that a reader of the sequence gets.
func (m *model) shown(events []*persistence.Recorded, options persistence.ReadAllOptions, match func(*persistence.Recorded) bool) []*persistence.Recorded {
	var shown []*persistence.Recorded
	for _, stored := range events {
		if stored.Type != persistence.TypeGone && (options.System || stored.Stream[0] != '$') && match(stored) {
			shown = append(shown, stored)
		}
	}
	return shown
}

// same compares events that were read with the model. From the first reading the model
// learns the ids and times that the journal chose.
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
