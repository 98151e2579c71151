package persistence_test

import (
	"math"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence"
)

func TestExpectedInTheLifeOfAStream(t *testing.T) {
	t.Parallel()
	type life struct {
		version, first persistence.Version
		created        bool
	}
	for name, c := range map[string]struct {
		life    life
		admits  []persistence.Expected
		refuses []persistence.Expected
	}{
		"never written": {
			life{0, 1, false},
			[]persistence.Expected{persistence.Any, persistence.NoStream},
			[]persistence.Expected{persistence.StreamExists, persistence.Exact(1)},
		},
		"created": {
			life{0, 1, true},
			[]persistence.Expected{persistence.Any, persistence.NoStream, persistence.StreamExists},
			[]persistence.Expected{persistence.Exact(1)},
		},
		"written": {
			life{3, 1, false},
			[]persistence.Expected{persistence.Any, persistence.StreamExists, persistence.Exact(3)},
			[]persistence.Expected{persistence.NoStream, persistence.Exact(2), persistence.Exact(4)},
		},
		"truncated": {
			life{3, 3, false},
			[]persistence.Expected{persistence.Any, persistence.StreamExists, persistence.Exact(3)},
			[]persistence.Expected{persistence.NoStream, persistence.Exact(2)},
		},
		"deleted": {
			life{4, 5, false},
			[]persistence.Expected{persistence.Any, persistence.NoStream, persistence.Exact(4)},
			[]persistence.Expected{persistence.StreamExists, persistence.Exact(3), persistence.Exact(5)},
		},
		"created after its end": {
			life{4, 5, true},
			[]persistence.Expected{persistence.Any, persistence.NoStream, persistence.StreamExists, persistence.Exact(4)},
			[]persistence.Expected{persistence.Exact(3), persistence.Exact(5), persistence.Expected(-3)},
		},
	} {
		for _, expected := range c.admits {
			require.True(t, expected.Admits(c.life.version, c.life.first, c.life.created), "%s expected, %s", expected, name)
		}
		for _, expected := range c.refuses {
			require.False(t, expected.Admits(c.life.version, c.life.first, c.life.created), "%s expected, %s", expected, name)
		}
	}
}

func TestNamesOfTheSystemAreNames(t *testing.T) {
	t.Parallel()
	require.NoError(t, persistence.StreamID("$system-1").CheckName())
	invalid(t, persistence.StreamID("$system-1").Check(), "stream")
	for _, name := range []string{"", "a\x00", "a\n", "\xff", strings.Repeat("n", persistence.MaxStreamName+1)} {
		invalid(t, persistence.StreamID(name).CheckName(), "stream")
		invalid(t, persistence.CheckCategory(name), "category")
	}
	require.NoError(t, persistence.CheckCategory("user"))
	require.NoError(t, persistence.CheckCategory(strings.Repeat("ü", 100)))
}

func TestRevisions(t *testing.T) {
	t.Parallel()
	for _, revision := range []persistence.Revision{persistence.AnyRevision, 0, 1, math.MaxInt64} {
		require.NoError(t, revision.Check())
	}
	invalid(t, persistence.Revision(-2).Check(), "revision")
}

func TestListMatcher(t *testing.T) {
	t.Parallel()
	names := []string{"", "$sys-1", "user", "user-1", "user-2", "User-1"}
	for _, c := range []struct {
		options persistence.ListOptions
		want    []string
	}{
		{persistence.ListOptions{}, []string{"", "user", "user-1", "user-2", "User-1"}},
		{persistence.ListOptions{System: true}, names},
		{persistence.ListOptions{Name: "user"}, []string{"user"}},
		{persistence.ListOptions{Prefix: "user-"}, []string{"user-1", "user-2"}},
		{persistence.ListOptions{Pattern: "1$"}, []string{"user-1", "User-1"}},
		{persistence.ListOptions{Prefix: "user", Pattern: "1$"}, []string{"user-1"}},
		{persistence.ListOptions{Name: "$sys-1"}, nil},
		{persistence.ListOptions{Name: "$sys-1", System: true}, []string{"$sys-1"}},
	} {
		match, err := c.options.Matcher()
		require.NoError(t, err)
		var got []string
		for _, name := range names {
			if match(name) {
				got = append(got, name)
			}
		}
		require.Equal(t, c.want, got, "%+v", c.options)
	}
}

func TestListOptionsOutOfRange(t *testing.T) {
	t.Parallel()
	for field, options := range map[string]persistence.ListOptions{
		"limit": {Limit: -1}, "offset": {Offset: -1}, "pattern": {Pattern: "("}, "name": {Name: "\x00"}, "prefix": {Prefix: "\xff"},
		"after": {After: strings.Repeat("n", persistence.MaxStreamName+1)},
	} {
		_, err := options.Matcher()
		invalid(t, err, field)
		_, err = options.CategoryMatcher()
		invalid(t, err, field)
	}
	long := persistence.ListOptions{Pattern: strings.Repeat("a", persistence.MaxPattern+1)}
	_, err := long.Matcher()
	invalid(t, err, "pattern")
	metadata := persistence.ListOptions{Metadata: persistence.Metadata{"k": {}}}
	_, err = metadata.Matcher()
	invalid(t, err, "metadata value")
	for field, options := range map[string]persistence.ListOptions{
		"category": {Category: "user"}, "metadata": {Metadata: persistence.Metadata{"k": persistence.Int(1)}},
	} {
		_, err := options.Matcher()
		require.NoError(t, err)
		_, err = options.CategoryMatcher()
		invalid(t, err, field)
	}
}

func TestListedNumbersAreNumbers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		stored, wanted persistence.Value
		same           bool
	}{
		{persistence.Int(1), persistence.Int(1), true},
		{persistence.Int(1), persistence.Float(1), true},
		{persistence.Float(1), persistence.Int(1), true},
		{persistence.Float(1.5), persistence.Int(1), false},
		{persistence.Int(1<<53 + 1), persistence.Float(1 << 53), false},
		{persistence.Float(1 << 53), persistence.Int(1<<53 + 1), false},
		{persistence.Int(math.MaxInt64), persistence.Float(1 << 63), false},
		{persistence.Int(math.MinInt64), persistence.Float(math.MinInt64), true},
		{persistence.Float(1e300), persistence.Int(math.MaxInt64), false},
		{persistence.Int(0), persistence.Float(math.Copysign(0, -1)), true},
		{persistence.String("1"), persistence.Int(1), false},
		{persistence.Bool(true), persistence.Int(1), false},
		{persistence.Bool(true), persistence.String("true"), false},
		{persistence.String("a"), persistence.String("a"), true},
	} {
		options := persistence.ListOptions{Metadata: persistence.Metadata{"k": c.wanted}}
		require.Equal(t, c.same, options.MatchesMetadata(persistence.Metadata{"k": c.stored, "more": persistence.Int(1)}), "%s and %s", c.stored.Text(), c.wanted.Text())
	}
	options := persistence.ListOptions{Metadata: persistence.Metadata{"k": persistence.Int(1), "l": persistence.Int(2)}}
	require.False(t, options.MatchesMetadata(persistence.Metadata{"k": persistence.Int(1)}))
	require.False(t, options.MatchesMetadata(nil))
	require.True(t, new(persistence.ListOptions).MatchesMetadata(nil))
}

func TestScan(t *testing.T) {
	t.Parallel()
	require.Equal(t, persistence.DefaultPageRows, persistence.ReadAllOptions{PageRows: 1}.Scan())
	require.Equal(t, 1000, persistence.ReadAllOptions{PageRows: 100}.Scan())
}

func TestSnapshotsWithinTheLimits(t *testing.T) {
	t.Parallel()
	fine := persistence.Snapshot{
		Stream: "account-ann", Version: 1, Fingerprint: strings.Repeat("\xff", persistence.MaxFingerprint), State: make([]byte, persistence.MaxSnapshot),
	}
	require.NoError(t, fine.Check())
	for field, broken := range map[string]func(*persistence.Snapshot){
		"stream":      func(s *persistence.Snapshot) { s.Stream = "" },
		"version":     func(s *persistence.Snapshot) { s.Version = 0 },
		"fingerprint": func(s *persistence.Snapshot) { s.Fingerprint += "f" },
		"state":       func(s *persistence.Snapshot) { s.State = append(s.State, 0) },
	} {
		snapshot := fine
		broken(&snapshot)
		invalid(t, snapshot.Check(), field)
	}
	fine.Version = persistence.MaxVersion + 1
	invalid(t, fine.Check(), "version")
}

func TestSchemasWithinTheLimits(t *testing.T) {
	t.Parallel()
	for _, encoding := range []persistence.Encoding{persistence.Protobuf, persistence.JSON} {
		require.NoError(t, persistence.CheckSchema(encoding, make([]byte, persistence.MaxSchema)))
		invalid(t, persistence.CheckSchema(encoding, nil), "schema")
		invalid(t, persistence.CheckSchema(encoding, make([]byte, persistence.MaxSchema+1)), "schema")
	}
	invalid(t, persistence.CheckSchema(persistence.Raw, []byte("a")), "encoding")
	invalid(t, persistence.CheckSchema(persistence.JSON+1, []byte("a")), "encoding")
}
