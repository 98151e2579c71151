package main

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
)

func TestFile(t *testing.T) {
	t.Parallel()
	path := []byte("a/b\xff")
	old, young := &ledgerpb.Entry{Mode: 0o100644, Object: "aa"}, &ledgerpb.Entry{Mode: 0o100755, Object: "bb"}
	written := &ledgerpb.Written{Path: path, Ordinal: 3, Entry: old}
	removed := &ledgerpb.Removed{Path: path, Ordinal: 5}

	t.Run("is created", func(t *testing.T) {
		t.Parallel()
		Record.Given(t, Files).
			When(&ledgerpb.Record{Path: path, Ordinal: 3, After: old}).
			Then(written).
			Reply(&ledgerpb.State{Entry: old})
	})

	t.Run("changes", func(t *testing.T) {
		t.Parallel()
		Record.Given(t, Files, written).
			When(&ledgerpb.Record{Path: path, Ordinal: 4, Before: old, After: young}).
			Then(&ledgerpb.Written{Path: path, Ordinal: 4, Entry: young}).
			Reply(&ledgerpb.State{Entry: young})
	})

	t.Run("is removed and created again", func(t *testing.T) {
		t.Parallel()
		Record.Given(t, Files, written).
			When(&ledgerpb.Record{Path: path, Ordinal: 5, Before: old}).
			Then(removed).
			Reply(&ledgerpb.State{})
		Record.Given(t, Files, written, removed).
			When(&ledgerpb.Record{Path: path, Ordinal: 6, After: young}).
			Then(&ledgerpb.Written{Path: path, Ordinal: 6, Entry: young})
	})

	t.Run("keeps a commit once", func(t *testing.T) {
		t.Parallel()
		Record.Given(t, Files, written).
			When(&ledgerpb.Record{Path: path, Ordinal: 3, After: old}).
			Then().
			Reply(&ledgerpb.State{Entry: old})
		Record.Given(t, Files, written, removed).
			When(&ledgerpb.Record{Path: path, Ordinal: 4, Before: old, After: young}).
			Then().
			Reply(&ledgerpb.State{})
	})

	t.Run("refuses a commit that does not follow", func(t *testing.T) {
		t.Parallel()
		Record.Given(t, Files, written).
			When(&ledgerpb.Record{Path: path, Ordinal: 4, Before: young}).
			Fails(ErrDiverged)
		Record.Given(t, Files, written).
			When(&ledgerpb.Record{Path: path, Ordinal: 4, After: young}).
			Fails(ErrDiverged)
		Record.Given(t, Files).
			When(&ledgerpb.Record{Path: path, Ordinal: 1, Before: old, After: young}).
			Fails(ErrDiverged)
	})

	t.Run("shows itself", func(t *testing.T) {
		t.Parallel()
		Show.Given(t, Files).When(&ledgerpb.Show{}).Then().Reply(&ledgerpb.State{})
		Show.Given(t, Files, written).When(&ledgerpb.Show{}).Then().Reply(&ledgerpb.State{Entry: old})
	})
}

func TestLedger(t *testing.T) {
	t.Parallel()
	first, second := &ledgerpb.Mark{Ordinal: 1, Commit: "aa"}, &ledgerpb.Mark{Ordinal: 2, Commit: "bb"}
	begun := &ledgerpb.Begun{Root: "aa", Target: first}

	t.Run("announces what an import is to reach", func(t *testing.T) {
		t.Parallel()
		Begin.Given(t, Ledgers).
			When(&ledgerpb.Begin{Root: "aa", Target: first}).
			Then(begun).
			Reply(&ledgerpb.Progress{Root: "aa", Target: first, Reached: &ledgerpb.Mark{}})
		Begin.Given(t, Ledgers, begun).
			When(&ledgerpb.Begin{Root: "aa", Target: second}).
			Then(&ledgerpb.Begun{Root: "aa", Target: second})
		Begin.Given(t, Ledgers, begun).
			When(&ledgerpb.Begin{Root: "aa", Target: first}).
			Then()
	})

	t.Run("belongs to one repository", func(t *testing.T) {
		t.Parallel()
		Begin.Given(t, Ledgers, begun).
			When(&ledgerpb.Begin{Root: "bb", Target: second}).
			Fails(ErrOtherRepository)
	})

	t.Run("only goes forward", func(t *testing.T) {
		t.Parallel()
		Reach.Given(t, Ledgers, begun).
			When(&ledgerpb.Reach{Mark: first}).
			Then(&ledgerpb.Reached{Mark: first}).
			Reply(&ledgerpb.Progress{Root: "aa", Target: first, Reached: first})
		Reach.Given(t, Ledgers, begun, &ledgerpb.Reached{Mark: second}).
			When(&ledgerpb.Reach{Mark: first}).
			Then().
			Reply(&ledgerpb.Progress{Root: "aa", Target: first, Reached: second})
	})

	t.Run("belongs to one history", func(t *testing.T) {
		t.Parallel()
		empty, full := Ledger{}, Ledger{root: "aa", target: mark{3, "cc"}, reached: mark{2, "bb"}}
		require.NoError(t, empty.check(Chain{}))
		require.NoError(t, empty.check(Chain{"xx"}))
		require.NoError(t, full.check(Chain{"aa", "bb", "cc"}))
		require.NoError(t, full.check(Chain{"aa", "bb", "cc", "dd"}))
		require.ErrorIs(t, full.check(Chain{"bb", "bb", "cc"}), ErrOtherRepository)
		require.ErrorIs(t, full.check(Chain{"aa", "xx", "cc"}), ErrRewritten)
		require.ErrorIs(t, full.check(Chain{"aa", "bb", "xx"}), ErrRewritten)
		require.ErrorIs(t, full.check(Chain{"aa", "bb"}), ErrRewritten)
		require.ErrorIs(t, full.check(Chain{}), ErrRewritten)
	})
}

// Ids are names of streams: what they were yesterday they must be for ever.
func TestFileID(t *testing.T) {
	t.Parallel()
	for path, id := range map[string]string{
		"src/main.go":                   "src/main.go",
		"snö w/☃":                       "snö w/☃",
		"100%":                          "100%25",
		"%41":                           "%2541",
		"line\nbreak\x7f":               "line%0abreak%7f",
		"latin1-\xe4":                   "latin1-%e4",
		"c1-\u0085":                     "c1-%c2%85",
		"rtl-\u202e":                    "rtl-%e2%80%ae",
		strings.Repeat("x", 200):        strings.Repeat("x", 200),
		strings.Repeat("x", 201):        "%sha256-84a0678c90937f5dcf9994d5866668da6b995109c8ad845410559b48a4ecafed",
		"%sha256-":                      "%25sha256-",
		strings.Repeat("\n", 66) + "xx": strings.Repeat("%0a", 66) + "xx",
	} {
		require.Equal(t, id, fileID(path))
	}
}

func FuzzFileID(f *testing.F) {
	for _, name := range oddNames {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, path string) {
		if path == "" {
			return
		}
		id := fileID(path)
		require.NoError(t, persistence.CheckID(id))
		if !strings.HasPrefix(id, "%s") {
			require.Equal(t, path, unescape(t, id), "two paths may share %q", id)
			return
		}
		require.Len(t, id, len("%sha256-")+64)
		require.Greater(t, 3*len(path), persistence.MaxID)
	})
}

// unescape proves that an id tells its path, so that no two paths share one.
func unescape(t *testing.T, id string) string {
	t.Helper()
	var path strings.Builder
	for id != "" {
		plain, escaped, found := strings.Cut(id, "%")
		path.WriteString(plain)
		if !found {
			break
		}
		b, err := hex.DecodeString(escaped[:2])
		require.NoError(t, err)
		path.Write(b)
		id = escaped[2:]
	}
	return path.String()
}
