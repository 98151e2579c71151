package transfer

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash/fnv"
	"iter"
	"maps"
	"slices"

	"github.com/stele-es/stele/persistence"
)

// Report is the result of a comparison of two journals.
type Report struct {
	// Equal says that the streams that were compared hold the same on both sides.
	Equal bool
	// SamePositions says that the events also stand at the same places.
	SamePositions bool
	// From and To count what was compared on each side.
	From, To Side
	// Differences are the streams that differ, by name, [MostDifferences] at most.
	Differences []Difference
}

// Side counts the compared part of one journal.
type Side struct {
	// Events and Streams are their numbers.
	Events, Streams int64
	// Digest is equal on both sides when the events are.
	Digest [sha256.Size]byte
}

// Difference is a stream that is not the same in two journals.
type Difference struct {
	// Stream is its name.
	Stream persistence.StreamID
	// From and To are the numbers of events on each side, those included that cannot
	// be read any more.
	From, To int64
	// What names the difference: "events" or "state".
	What string
}

// MostDifferences bounds what a [Report] lists.
const MostDifferences = 100

// Verify compares what two journals hold: of each event the stream, version, id,
// time, type, payload, headers, metadata, tags, the description of the payload, and
// whether the id is recognised; of each stream what is known of it. It counts, and
// compares digests of all events; only where those differ it looks for the streams.
// It reads both journals as a whole and needs memory for a page and the streams
// that differ. Both should be at rest: what is written meanwhile is a difference.
// So is what was scavenged on one side after it was copied, until it is on the
// other too.
func Verify(ctx context.Context, from, to persistence.Journal, choice Choice) (Report, error) {
	if err := choice.check(); err != nil {
		return Report{}, err
	}
	var sides [2]*side
	for i, journal := range []persistence.Journal{from, to} {
		described, err := describedBy(ctx, journal)
		if err != nil {
			return Report{}, err
		}
		sides[i] = &side{journal: journal, choice: &choice, described: described}
		if err := sides[i].sum(ctx); err != nil {
			return Report{}, err
		}
	}
	r := Report{From: sides[0].Side, To: sides[1].Side}
	r.SamePositions = sides[0].placed == sides[1].placed && r.From.Events == r.To.Events
	if err := r.compareStates(ctx, sides); err != nil {
		return Report{}, err
	}
	if err := r.compareEvents(ctx, sides); err != nil {
		return Report{}, err
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int { return cmp.Or(cmp.Compare(a.Stream, b.Stream), cmp.Compare(a.What, b.What)) })
	r.Equal = len(r.Differences) == 0
	r.Differences = r.Differences[:min(len(r.Differences), MostDifferences)]
	r.From.Streams, r.To.Streams = sides[0].Streams, sides[1].Streams
	return r, nil
}

// sum is a digest of a set: the digests of its members, added up. It does not
// depend on their order, and nobody finds another set with the same one by chance.
type sum [4]uint64

func (s *sum) add(digest [sha256.Size]byte) {
	for i := range s {
		s[i] += binary.BigEndian.Uint64(digest[8*i:])
	}
}

func (s *sum) digest() (digest [sha256.Size]byte) {
	for i := range s {
		binary.BigEndian.PutUint64(digest[8*i:], s[i])
	}
	return digest
}

// buckets are how many parts the streams are divided into by their names, to find
// those that differ without remembering all.
const buckets = 4096

// side is one of the two journals.
type side struct {
	Side
	journal   persistence.Journal
	choice    *Choice
	described *descriptions
	parts     [buckets]sum
	placed    sum
	schemas   map[persistence.SchemaID][sha256.Size]byte
}

func bucket(stream persistence.StreamID) int {
	hash := fnv.New32a()
	hash.Write([]byte(stream))
	return int(hash.Sum32() % buckets)
}

// each yields the events that were chosen with their digests.
func (s *side) each(ctx context.Context) iter.Seq2[*persistence.Recorded, error] {
	return func(yield func(*persistence.Recorded, error) bool) {
		for page, err := range s.journal.ReadAll(ctx, persistence.ReadAllOptions{System: true, Whole: true, Filter: s.choice.filter()}) {
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range page.Events {
				if !yield(&page.Events[i], nil) {
					return
				}
			}
		}
	}
}

func (s *side) sum(ctx context.Context) error {
	s.schemas = map[persistence.SchemaID][sha256.Size]byte{}
	var total sum
	var buffer []byte
	for e, err := range s.each(ctx) {
		if err != nil {
			return err
		}
		var digest [sha256.Size]byte
		if digest, buffer, err = s.digest(ctx, e, buffer); err != nil {
			return err
		}
		s.Events++
		total.add(digest)
		s.parts[bucket(e.Stream)].add(digest)
		s.placed.add(sha256.Sum256(binary.BigEndian.AppendUint64(append(buffer[:0], digest[:]...), uint64(e.Position.Offset))))
	}
	s.Digest = total.digest()
	return nil
}

// digest is that of all that an event is but its position. What varies in length
// is preceded by its length, so no two events have the same bytes.
func (s *side) digest(ctx context.Context, e *persistence.Recorded, buffer []byte) (digest [sha256.Size]byte, rest []byte, err error) {
	var described [sha256.Size]byte
	if e.Schema != 0 {
		var known bool
		if described, known = s.schemas[e.Schema]; !known {
			if described, err = s.described.digest(ctx, e.Schema); err != nil {
				return digest, buffer, err
			}
			s.schemas[e.Schema] = described
		}
	}
	out := append(buffer[:0], described[:]...)
	out = append(out, e.ID[:]...)
	out = binary.BigEndian.AppendUint64(out, uint64(e.Version))
	out = binary.BigEndian.AppendUint64(out, uint64(e.At.UnixMicro()))
	named := byte(0)
	if e.Named {
		named = 1
	}
	out = append(out, named)
	for _, text := range []string{string(e.Stream), e.Type, string(e.Payload), string(e.Headers), string(persistence.EncodeMetadata(e.Metadata))} {
		out = binary.BigEndian.AppendUint32(out, uint32(len(text)))
		out = append(out, text...)
	}
	for _, tag := range sorted(e.Tags) {
		out = binary.BigEndian.AppendUint32(out, uint32(len(tag)))
		out = append(out, tag...)
	}
	return sha256.Sum256(out), out, nil
}

// counted are the events of one stream.
type counted struct {
	events int64
	digest sum
}

// compareEvents looks for the streams of the parts that differ.
func (r *Report) compareEvents(ctx context.Context, sides [2]*side) error {
	differs := map[int]bool{}
	for i := range buckets {
		if sides[0].parts[i] != sides[1].parts[i] {
			differs[i] = true
		}
	}
	if len(differs) == 0 {
		return nil
	}
	var streams [2]map[persistence.StreamID]counted
	for i, s := range sides {
		streams[i] = map[persistence.StreamID]counted{}
		var buffer []byte
		for e, err := range s.each(ctx) {
			if err != nil {
				return err
			}
			if !differs[bucket(e.Stream)] {
				continue
			}
			var digest [sha256.Size]byte
			if digest, buffer, err = s.digest(ctx, e, buffer); err != nil {
				return err
			}
			stream := streams[i][e.Stream]
			stream.events++
			stream.digest.add(digest)
			streams[i][e.Stream] = stream
		}
	}
	names := maps.Clone(streams[0])
	maps.Copy(names, streams[1])
	for name := range names {
		if a, b := streams[0][name], streams[1][name]; a != b {
			r.Differences = append(r.Differences, Difference{Stream: name, From: a.events, To: b.events, What: "events"})
		}
	}
	return nil
}

// compareStates goes through the streams of both sides, which come by name.
func (r *Report) compareStates(ctx context.Context, sides [2]*side) error {
	var lists [2]*streamList
	for i, s := range sides {
		lists[i] = listOf(ctx, s)
		defer lists[i].stop()
		if err := lists[i].advance(); err != nil {
			return err
		}
	}
	for lists[0].more || lists[1].more {
		order := firstOf(lists)
		if order != 0 || !sameState(&lists[0].at, &lists[1].at) {
			r.differ([2]persistence.StreamInfo{lists[0].at, lists[1].at}, order)
		}
		for i, list := range lists {
			if order == 0 || (order < 0) == (i == 0) {
				if err := list.advance(); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// streamList goes through the chosen streams of one side, and counts them.
type streamList struct {
	side *side
	next func() (persistence.StreamInfo, error, bool)
	stop func()
	at   persistence.StreamInfo
	more bool // at is a stream
}

func listOf(ctx context.Context, s *side) *streamList {
	list := &streamList{side: s}
	list.next, list.stop = iter.Pull2(s.journal.List(ctx, listed(s.choice)))
	return list
}

func (l *streamList) advance() (err error) {
	for {
		if l.at, err, l.more = l.next(); err != nil || !l.more {
			return err
		}
		if l.side.choice.has(l.at.Stream) {
			l.side.Streams++
			return nil
		}
	}
}

// firstOf says which list has the stream that comes first: the first when negative, the
// second when positive, both when 0.
func firstOf(lists [2]*streamList) int {
	switch {
	case !lists[1].more:
		return -1
	case !lists[0].more:
		return 1
	}
	return cmp.Compare(lists[0].at.Stream, lists[1].at.Stream)
}

func (r *Report) differ(infos [2]persistence.StreamInfo, order int) {
	d := Difference{Stream: infos[0].Stream, From: int64(infos[0].Version), To: int64(infos[1].Version), What: "state"}
	if order < 0 {
		d.To = 0
	}
	if order > 0 {
		d.Stream, d.From = infos[1].Stream, 0
	}
	if len(r.Differences) < MostDifferences {
		r.Differences = append(r.Differences, d)
	}
}

func sameState(a, b *persistence.StreamInfo) bool {
	return a.Stream == b.Stream && a.Version == b.Version && a.First == b.First && a.Begin == b.Begin && a.Revision == b.Revision &&
		a.Deleted == b.Deleted && a.Metadata.Equal(b.Metadata)
}
