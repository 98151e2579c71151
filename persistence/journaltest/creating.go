package journaltest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

var creating = cases{
	"a created stream is empty and exists":                            createEmpty,
	"a stream that exists is not created again":                       createAgain,
	"a stream that is created after its end is empty":                 createAfter,
	"one of many callers that create a stream succeeds":               createOnce,
	"metadata of a stream comes back with its kinds":                  describeRoundTrip,
	"metadata of a stream belongs to the caller":                      describeOwned,
	"metadata is changed only at the expected revision":               describeExpected,
	"setting the same metadata changes nothing":                       describeSame,
	"metadata that breaks the rules is refused":                       describeRefused,
	"one of many callers that change metadata at a revision succeeds": describeOnce,
	"revisions go on across a deletion":                               describeDeleted,
	"metadata of a stream is separate from that of its events":        describeApart,
	"metadata of a stream that does not exist cannot be set":          describeMissing,
}

func createEmpty(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("other-1", 2)
	head := j.head()
	meta := persistence.Metadata{"owner": persistence.String("ann")}

	for stream, metadata := range map[persistence.StreamID]persistence.Metadata{"plain-1": nil, "empty-1": {}, "meta-1": meta, "$system-1": meta} {
		j.create(stream, metadata)

		want := persistence.StreamInfo{Stream: stream, First: 1, Begin: 1}
		if len(metadata) > 0 {
			want.Metadata, want.Revision = meta, 1
		}
		require.Equal(t, want, j.info(stream))
		for _, options := range []persistence.ReadOptions{{}, {From: 1}, {From: 9}, {Backward: true}, {From: 9, Backward: true, Limit: 1}} {
			events, err := j.read(stream, options)
			require.NoError(t, err, "an empty stream is not a missing stream")
			require.Empty(t, events)
			count, err := j.Count(j.ctx, stream, options)
			require.NoError(t, err)
			require.Zero(t, count)
		}
		for _, expected := range []persistence.Expected{persistence.Any, persistence.NoStream, persistence.StreamExists} {
			require.Equal(t, persistence.Outcome{}, j.try(stream, expected), "an append without events")
		}
		require.ErrorIs(t, j.try(stream, persistence.Exact(7)).Err, persistence.ErrConflict)
	}
	require.True(t, samePlace(head, j.head()), "creating a stream takes no position")
	outcome := j.store("meta-1", persistence.NoStream, notes("n", 2)...)
	require.Equal(t, persistence.Version(1), outcome.First)
	require.Equal(t, persistence.StreamInfo{Stream: "meta-1", Version: 2, First: 1, Begin: 1, Metadata: meta, Revision: 1}, j.info("meta-1"))
}

func createAgain(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"k": persistence.Int(1)}
	j.create("created-1", meta)
	j.grow("written-1", 2)
	j.create("both-1", meta)
	j.grow("both-1", 1)

	j.unchanged(func() {
		for _, stream := range []persistence.StreamID{"created-1", "written-1", "both-1"} {
			err := j.Create(j.ctx, stream, persistence.Metadata{"k": persistence.Int(2)})
			require.ErrorIs(t, err, persistence.ErrStreamExists)
			require.ErrorIs(t, err, persistence.ErrConflict)
			exists, _ := errors.AsType[*persistence.StreamExistsError](err)
			require.Equal(t, &persistence.StreamExistsError{Stream: stream}, exists)
		}
	})
	j.create("Created-1", nil) // another name
}

func createAfter(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("after-1", 3)
	j.delete("after-1")
	head := j.head()

	j.create("after-1", nil)

	require.Equal(t, persistence.StreamInfo{Stream: "after-1", Version: 4, First: 5, Begin: 5, Revision: 1}, j.info("after-1"))
	require.True(t, samePlace(head, j.head()))
	for from := persistence.Version(0); from <= 6; from++ {
		for _, backward := range []bool{false, true} {
			options := persistence.ReadOptions{From: from, Backward: backward}
			events, err := j.read("after-1", options)
			require.NoError(t, err, "reading a stream that was created after a deletion is not ErrTruncated")
			require.Empty(t, events)
			count, err := j.Count(j.ctx, "after-1", options)
			require.NoError(t, err)
			require.Zero(t, count)
		}
		if pages, ok := persistence.As[persistence.PageReader](j.Journal); ok {
			page, err := pages.ReadPages(j.ctx, []persistence.PageRequest{{Stream: "after-1", From: from, Limit: 1}})
			require.NoError(t, err)
			require.Empty(t, page[0].Events)
			require.NoError(t, page[0].Err)
		}
	}
	require.Equal(t, persistence.Outcome{Last: 4}, j.try("after-1", persistence.Any))
	require.Equal(t, persistence.Version(5), j.store("after-1", persistence.Exact(4), note("n")).First)
	beginsAt(j, "after-1", 5)
}

// oneOfMany lets many callers do the same at once. One must succeed, and all others must
// fail with an error of this kind.
func oneOfMany(j journal, many int, kind persistence.ErrorKind, do func(i int) error) {
	j.t.Helper()
	errs := make([]error, many)
	var group errgroup.Group
	for i := range many {
		group.Go(func() error {
			errs[i] = do(i)
			return nil
		})
	}
	require.NoError(j.t, group.Wait())
	succeeded := 0
	for _, err := range errs {
		if err == nil {
			succeeded++
			continue
		}
		require.ErrorIs(j.t, err, kind)
	}
	require.Equal(j.t, 1, succeeded)
}

func createOnce(t *testing.T, s suite) {
	j := s.open(t)
	for round := range 5 {
		stream := persistence.StreamID(fmt.Sprintf("once-%d", round))
		oneOfMany(j, 6, persistence.ErrStreamExists, func(i int) error {
			return j.Create(j.ctx, stream, persistence.Metadata{"by": persistence.Int(int64(i))})
		})
		info := j.info(stream)
		require.Len(t, info.Metadata, 1)
		require.Equal(t, persistence.Revision(1), info.Revision, "callers that fail change nothing")
	}
}

func describeRoundTrip(t *testing.T, s suite) {
	j := s.open(t)
	values, names := metadataValues(), metadataNames()
	j.create("created-1", values)
	j.create("set-1", values)

	revision, err := j.SetMetadata(j.ctx, "set-1", names, 1)

	require.NoError(t, err)
	require.Equal(t, persistence.Revision(2), revision)
	require.True(t, values.Equal(j.info("created-1").Metadata))
	require.True(t, names.Equal(j.info("set-1").Metadata), "setting metadata replaces the whole map")
	_, err = j.SetMetadata(j.ctx, "set-1", nil, 2)
	require.NoError(t, err)
	require.Equal(t, persistence.StreamInfo{Stream: "set-1", First: 1, Begin: 1, Revision: 3}, j.info("set-1"))
}

func describeOwned(t *testing.T, s suite) {
	j := s.open(t)
	fresh := func() persistence.Metadata { return persistence.Metadata{"k": persistence.Int(1)} }
	given := fresh()
	j.create("created-1", given)
	j.create("set-1", nil)
	_, err := j.SetMetadata(j.ctx, "set-1", given, persistence.AnyRevision)
	require.NoError(t, err)

	given["k"] = persistence.Int(2)
	for _, stream := range []persistence.StreamID{"created-1", "set-1"} {
		info, err := j.Stream(j.ctx, stream)
		require.NoError(t, err)
		require.True(t, fresh().Equal(info.Metadata), "the journal does not keep the writer's map")
		info.Metadata["k"] = persistence.Int(3)
		for listed, err := range j.List(j.ctx, persistence.ListOptions{Name: string(stream)}) {
			require.NoError(t, err)
			listed.Metadata["k"] = persistence.Int(4)
		}
		require.True(t, fresh().Equal(j.info(stream).Metadata), "the journal does not share a map with its readers")
	}
}

func describeExpected(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("described-1", 2)
	set := func(n int, expected persistence.Revision) (persistence.Revision, error) {
		return j.SetMetadata(j.ctx, "described-1", persistence.Metadata{"n": persistence.Int(int64(n))}, expected)
	}
	head := j.head()

	for n, expected := range []persistence.Revision{0, 1, persistence.AnyRevision, 3, persistence.AnyRevision} {
		revision, err := set(n, expected)

		require.NoError(t, err)
		require.Equal(t, persistence.Revision(n+1), revision)
		require.Equal(t, persistence.StreamInfo{
			Stream: "described-1", Version: 2, First: 1, Begin: 1, Metadata: persistence.Metadata{"n": persistence.Int(int64(n))}, Revision: revision,
		}, j.info("described-1"))
	}
	for _, expected := range []persistence.Revision{0, 1, 4, 6, 99} {
		_, err := set(99, expected)

		require.ErrorIs(t, err, persistence.ErrRevision)
		require.ErrorIs(t, err, persistence.ErrConflict)
		refused, _ := errors.AsType[*persistence.RevisionError](err)
		require.Equal(t, &persistence.RevisionError{Stream: "described-1", Expected: expected, Actual: 5}, refused)
		require.Equal(t, persistence.Metadata{"n": persistence.Int(4)}, j.info("described-1").Metadata)
	}
	require.True(t, samePlace(head, j.head()), "setting metadata takes no position")
	require.Equal(t, persistence.Version(3), j.store("described-1", persistence.Exact(2), note("n")).First, "setting metadata takes no version")
}

func describeSame(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"a": persistence.Int(1), "b": persistence.Float(0), "c": persistence.String("")}
	j.create("same-1", meta)
	j.create("none-1", nil)

	j.unchanged(func() {
		for _, expected := range []persistence.Revision{persistence.AnyRevision, 0, 1, 2, 99} {
			revision, err := j.SetMetadata(j.ctx, "same-1", with(meta, "b", persistence.Float(negativeZero)), expected)
			require.NoError(t, err, "setting the same metadata again succeeds, whatever revision is expected")
			require.Equal(t, persistence.Revision(1), revision)
			for _, empty := range []persistence.Metadata{nil, {}} {
				revision, err = j.SetMetadata(j.ctx, "none-1", empty, expected)
				require.NoError(t, err)
				require.Zero(t, revision)
			}
		}
	})
	for i, other := range []persistence.Metadata{
		with(meta, "a", persistence.Float(1)), with(meta, "c", persistence.Bool(false)), with(meta, "d", persistence.Int(1)), {"a": persistence.Int(1)}, nil,
	} {
		revision, err := j.SetMetadata(j.ctx, "same-1", other, persistence.Revision(i+1))
		require.NoError(t, err)
		require.Equal(t, persistence.Revision(i+2), revision, "this metadata differs, so that the revision grows")
	}
}

func describeRefused(t *testing.T, s suite) {
	j := s.open(t)
	j.create("described-1", nil)
	many := persistence.Metadata{}
	for i := range persistence.MaxMetadataKeys + 1 {
		many[fmt.Sprint(i)] = persistence.Bool(true)
	}

	for what, metadata := range map[string]persistence.Metadata{
		"no value": {"k": {}}, "no key": {"": persistence.Int(1)}, "NUL": {"k": persistence.String("\x00")}, "not UTF-8": {"\xff": persistence.Int(1)}, "too many": many,
	} {
		_, err := j.SetMetadata(j.ctx, "described-1", metadata, persistence.AnyRevision)
		require.ErrorIs(t, err, persistence.ErrInvalid, what)
		require.ErrorIs(t, j.Create(j.ctx, "new-1", metadata), persistence.ErrInvalid, what)
	}
	for _, revision := range []persistence.Revision{-2, -1 << 63} {
		_, err := j.SetMetadata(j.ctx, "described-1", nil, revision)
		require.ErrorIs(t, err, persistence.ErrInvalid)
	}
	j.missing("new-1")
	require.Equal(t, persistence.StreamInfo{Stream: "described-1", First: 1, Begin: 1}, j.info("described-1"))
}

func describeOnce(t *testing.T, s suite) {
	j := s.open(t)
	j.create("once-1", nil)
	for round := range 5 {
		oneOfMany(j, 6, persistence.ErrRevision, func(i int) error {
			_, err := j.SetMetadata(j.ctx, "once-1", persistence.Metadata{"by": persistence.Int(int64(round*10 + i))}, persistence.Revision(round))
			return err
		})
		require.Equal(t, persistence.Revision(round+1), j.info("once-1").Revision)
	}
}

func describeDeleted(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"k": persistence.Int(1)}
	j.create("gone-1", meta) // revision 1
	j.delete("gone-1")       // 2
	j.create("gone-1", nil)
	require.Equal(t, persistence.StreamInfo{Stream: "gone-1", Version: 1, First: 2, Begin: 2, Revision: 2}, j.info("gone-1"), "metadata ends with the stream")

	_, err := j.SetMetadata(j.ctx, "gone-1", meta, 1)
	require.ErrorIs(t, err, persistence.ErrRevision, "a revision never returns")
	revision, err := j.SetMetadata(j.ctx, "gone-1", meta, 2)
	require.NoError(t, err)
	require.Equal(t, persistence.Revision(3), revision)
	j.delete("gone-1") // 4
	j.create("gone-1", meta)
	require.Equal(t, persistence.Revision(5), j.info("gone-1").Revision)

	j.grow("plain-1", 1)
	j.delete("plain-1")
	j.grow("plain-1", 1)
	require.Equal(t, persistence.StreamInfo{Stream: "plain-1", Version: 3, First: 3, Begin: 3, Revision: 1}, j.info("plain-1"), "a deletion raises the revision also where no metadata was set")
}

func describeApart(t *testing.T, s suite) {
	j := s.open(t)
	meta := persistence.Metadata{"k": persistence.String("of the stream")}
	j.create("apart-1", meta)
	event := note("n")
	event.Metadata = persistence.Metadata{"k": persistence.String("of the event")}
	j.store("apart-1", persistence.Any, event, note("plain"))
	j.grow("apart-2", 1)

	require.Equal(t, event.Metadata, j.events("apart-1")[0].Metadata)
	require.Empty(t, j.events("apart-1")[1].Metadata)
	require.Equal(t, meta, j.info("apart-1").Metadata)
	require.Empty(t, j.info("apart-2").Metadata)
}

func describeMissing(t *testing.T, s suite) {
	j := s.open(t)
	j.grow("deleted-1", 1)
	j.delete("deleted-1")
	require.ErrorIs(t, j.try("refused-1", persistence.StreamExists, note("n")).Err, persistence.ErrConflict)

	for _, stream := range []persistence.StreamID{"missing-1", "deleted-1", "refused-1"} {
		for _, metadata := range []persistence.Metadata{nil, {"k": persistence.Int(1)}} {
			for _, expected := range []persistence.Revision{persistence.AnyRevision, 0, 1} {
				_, err := j.SetMetadata(j.ctx, stream, metadata, expected)
				require.ErrorIs(t, err, persistence.ErrStreamNotFound)
			}
		}
		j.missing(stream)
	}
}
