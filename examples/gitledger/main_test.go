package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/internal/pgtest"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// ledger runs the program again and again on one journal.
type ledger struct {
	open func(ctx context.Context, url string, relaxed bool) (persistence.Journal, error)
	url  string
}

// kept lets a memory journal survive the run that closes it.
type kept struct{ *memory.Journal }

func (kept) Close() error { return nil }

func inMemory() ledger {
	journal := kept{memory.New(memory.Config{})}
	return ledger{open: func(context.Context, string, bool) (persistence.Journal, error) { return journal, nil }, url: "memory:"}
}

func inSQLite(t testing.TB) ledger {
	t.Helper()
	return ledger{open: openJournal, url: "sqlite:" + filepath.Join(t.TempDir(), "not yet there", "journal.db")}
}

func inPostgres(t testing.TB) ledger {
	t.Helper()
	return ledger{open: openJournal, url: pgtest.Database(t)}
}

// journals are what every story has to hold for.
var journals = map[string]func(testing.TB) ledger{
	"memory":   func(testing.TB) ledger { return inMemory() },
	"sqlite":   inSQLite,
	"postgres": inPostgres,
}

// result is what a run leaves: its exit status and what it printed.
type result struct {
	status      int
	out, screen string
}

func (l ledger) run(t testing.TB, arguments ...string) result {
	t.Helper()
	return l.runUntil(t.Context(), append([]string{"--journal", l.url, "--relaxed"}, arguments...)...)
}

func (l ledger) runUntil(ctx context.Context, arguments ...string) result {
	var out, screen strings.Builder
	p := program{out: &out, screen: &screen, open: l.open}
	status := p.main(ctx, arguments)
	return result{status, out.String(), screen.String()}
}

// imports runs the program and requires that all is equal afterwards.
func (l ledger) imports(t testing.TB, dir string, commits, changes int) {
	t.Helper()
	r := l.run(t, dir)
	require.Zero(t, r.status, r.out+r.screen)
	require.Contains(t, r.out, fmt.Sprintf("recorded %d commits, %d changes in ", commits, changes))
	files := strings.Count(runGit(t, dir, nil, "ls-tree", "-r", "-z", "HEAD"), "\x00")
	require.Contains(t, r.out, fmt.Sprintf("%d files equal git ls-tree -r HEAD", files))
}

// read returns all events of the journal and of which files they are.
func (l ledger) read(t testing.TB) (recorded []persistence.Recorded) {
	t.Helper()
	journal, err := l.open(t.Context(), l.url, true)
	require.NoError(t, err)
	defer func() { require.NoError(t, journal.Close()) }()
	for page, err := range journal.ReadAll(t.Context(), persistence.ReadAllOptions{System: true}) {
		require.NoError(t, err)
		recorded = append(recorded, page.Events...)
	}
	return recorded
}

// requireOnce requires one event for every change of the history, and no other
// but those of the ledger.
func (l ledger) requireOnce(t testing.TB, dir string) {
	t.Helper()
	repository, chain := open(t, dir)
	want, got := map[string]int{}, map[string]int{}
	for commit, err := range repository.Commits(t.Context(), chain, 0) {
		require.NoError(t, err)
		for _, change := range commit.Changes {
			want[fmt.Sprintf("%q %d %v", change.Path, commit.Ordinal, change.After)]++
		}
	}

	for _, recorded := range l.read(t) {
		message, err := decode(&recorded)
		require.NoError(t, err)
		switch e := message.(type) {
		case *ledgerpb.Written:
			got[fmt.Sprintf("%q %d %v", e.Path, e.Ordinal, entryOf(e.Entry))]++
		case *ledgerpb.Removed:
			got[fmt.Sprintf("%q %d %v", e.Path, e.Ordinal, Entry{})]++
		default:
			require.Equal(t, "ledger", recorded.Stream.Category())
		}
	}

	require.Equal(t, want, got)
}

// ask asks one command outside a run.
func (l ledger) ask(t testing.TB, ask func(actors.Asker) error) {
	t.Helper()
	journal, err := l.open(t.Context(), l.url, true)
	require.NoError(t, err)
	system, err := actors.Open(t.Context(), actors.Config{Journal: journal, Aggregates: []actors.Definition{Files, Ledgers}})
	require.NoError(t, err)
	require.NoError(t, ask(system))
	require.NoError(t, system.Close(t.Context()))
	require.NoError(t, journal.Close())
}

// changesOf counts the changes after a commit; the empty name counts all.
func changesOf(t testing.TB, dir, after string) (commits, changes int) {
	t.Helper()
	repository, chain := open(t, dir)
	for commit, err := range repository.Commits(t.Context(), chain, chain.Ordinal(after)) {
		require.NoError(t, err)
		commits, changes = commits+1, changes+len(commit.Changes)
	}
	return commits, changes
}

func TestRuns(t *testing.T) {
	t.Parallel()
	for name, journal := range journals {
		t.Run(name, func(t *testing.T) {
			t.Parallel()

			t.Run("record a history, then nothing, then what is new", func(t *testing.T) {
				t.Parallel()
				dir, l := oddRepository(t), journal(t)

				commits, changes := changesOf(t, dir, "")
				l.imports(t, dir, commits, changes)
				first := l.read(t)
				require.Len(t, first, changes+2) // the ledger notes begin and end
				l.requireOnce(t, dir)

				l.imports(t, dir, 0, 0)
				require.Len(t, l.read(t), len(first))

				s := new(script)
				s.branch("main", "refs/heads/main^0")
				s.commit("main", file("new", "1"), deleted("a b"))
				s.commit("main")
				s.commit("main", file("new", "2"))
				s.runIn(t, dir)
				l.imports(t, dir, 3, 3)
				second := l.read(t)
				require.Equal(t, first, second[:len(first)])
				require.Len(t, second, len(first)+3+2)
				l.requireOnce(t, dir)
			})

			t.Run("know the states of the past", func(t *testing.T) {
				t.Parallel()
				dir, l := randomRepository(t, 0, 10), journal(t)
				commits, changes := changesOf(t, dir, "")
				l.imports(t, dir, commits, changes)
				l.requireStates(t, dir)
				require.Empty(t, l.run(t, "--state-at", "0", dir).out)
				require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", "HEAD"), l.run(t, "--state-at", fmt.Sprint(changes+2), dir).out)
			})

			t.Run("go on after an interrupt", func(t *testing.T) {
				t.Parallel()
				dir, l := randomRepository(t, 7, 700), journal(t)
				ctx, interrupt := context.WithCancel(t.Context())
				defer interrupt()
				interrupted := ledger{url: l.url, open: func(ctx context.Context, url string, relaxed bool) (persistence.Journal, error) {
					journal, err := l.open(ctx, url, relaxed)
					return onCommit(journal, 800, interrupt), err
				}}

				r := interrupted.runUntil(ctx, "--journal", l.url, "--relaxed", dir)
				require.Equal(t, 2, r.status)
				require.True(t, strings.HasSuffix(r.screen, "gitledger: interrupted: run it again to go on\n"), r.screen) // behind lines of progress, when that was slow

				r = l.run(t, dir)
				require.Zero(t, r.status, r.screen)
				l.requireOnce(t, dir)
			})
		})
	}
}

// requireStates requires the tree of every commit.
func (l ledger) requireStates(t testing.TB, dir string) {
	t.Helper()
	_, chain := open(t, dir)
	for _, hash := range chain {
		r := l.run(t, "--state-at", hash, dir)
		require.Zero(t, r.status, r.screen)
		require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", hash), r.out)
	}
}

func TestStatesOfThePast(t *testing.T) {
	t.Parallel()

	t.Run("at every commit", func(t *testing.T) {
		t.Parallel()
		for seed := range uint64(3) {
			dir, l := randomRepository(t, seed, 40), inMemory()
			require.Zero(t, l.run(t, dir).status)
			l.requireStates(t, dir)
		}
	})

	t.Run("at every position", func(t *testing.T) {
		t.Parallel()
		dir, l := oddRepository(t), inMemory()
		require.Zero(t, l.run(t, dir).status)
		tree := Tree{}
		for _, recorded := range l.read(t) {
			message, err := decode(&recorded)
			require.NoError(t, err)
			switch e := message.(type) {
			case *ledgerpb.Written:
				tree[string(e.Path)] = entryOf(e.Entry)
			case *ledgerpb.Removed:
				delete(tree, string(e.Path))
			}
			var want strings.Builder
			require.NoError(t, tree.Print(&want))
			require.Equal(t, want.String(), l.run(t, "--state-at", recorded.Position.String(), dir).out)
		}
	})
}

// watched tells how many appends have been committed.
type watched struct {
	persistence.Journal
	persistence.Submitter
	left atomic.Int64
	then func()
}

// onCommit calls a function when so many appends are stored and before any of
// the last batch is acknowledged.
func onCommit(journal persistence.Journal, appends int64, then func()) persistence.Journal {
	w := &watched{Journal: journal, then: then}
	w.Submitter, _ = journal.(persistence.Submitter)
	w.left.Store(appends)
	return w
}

func (w *watched) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	return w.Submitter.Submit(a, chain, func(o persistence.Outcome) {
		if w.left.Add(-1) == 0 {
			w.then()
		}
		done(o)
	})
}

func TestDifferences(t *testing.T) {
	t.Parallel()
	object := strings.Repeat("a", 40)
	entry := &ledgerpb.Entry{Mode: 0o100644, Object: object}
	for name, c := range map[string]struct {
		planted *ledgerpb.Record
		want    []string
	}{
		"a file too many": {
			&ledgerpb.Record{Path: []byte("planted\n"), After: entry},
			[]string{"+100644 blob " + object + "\t\"planted\\n\""},
		},
		"a file of long ago": {
			&ledgerpb.Record{Path: []byte("binary"), After: entry},
			[]string{"+100644 blob " + object + "\tbinary"},
		},
		"a file missing": {
			&ledgerpb.Record{Path: []byte("same")},
			[]string{"-100644 blob d3dc34affe77fdb18e4beef9d9b3213d791358e5\tsame"},
		},
		"other content": {
			&ledgerpb.Record{Path: []byte("same"), After: entry},
			[]string{"-100644 blob d3dc34affe77fdb18e4beef9d9b3213d791358e5\tsame", "+100644 blob " + object + "\tsame"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := oddRepository(t), inMemory()
			commits, changes := changesOf(t, dir, "")
			l.imports(t, dir, commits, changes)

			l.ask(t, func(node actors.Asker) error {
				id := fileID(string(c.planted.Path))
				state, err := Show.Ask(t.Context(), node, id, &ledgerpb.Show{})
				require.NoError(t, err)
				c.planted.Ordinal, c.planted.Before = 1000, state.Entry
				_, err = Record.Ask(t.Context(), node, id, c.planted)
				return err
			})

			r := l.run(t, dir)
			require.Equal(t, 1, r.status)
			require.Equal(t, c.want, strings.Split(strings.TrimSpace(r.out), "\n")[1:])
			require.Equal(t, fmt.Sprintf("gitledger: the files differ from the tree of git: %d lines\n", len(c.want)), r.screen)
		})
	}
}

func TestEventsNameTheirOrigin(t *testing.T) {
	t.Parallel()
	dir, l := oddRepository(t), inMemory()
	l.run(t, dir)
	_, chain := open(t, dir)

	seen := 0
	for _, recorded := range l.read(t) {
		message, err := decode(&recorded)
		require.NoError(t, err)
		event, ok := message.(interface{ GetOrdinal() uint64 })
		if !ok {
			continue
		}
		seen++
		var headers stelev1.Headers
		require.NoError(t, proto.Unmarshal(recorded.Headers, &headers))
		commit := strings.TrimSpace(runGit(t, dir, nil, "rev-parse", fmt.Sprintf("%x", headers.CausationId)))
		require.Equal(t, chain.At(event.GetOrdinal()), commit)
		require.Equal(t, persistence.Metadata{
			"commit": persistence.String(commit),
			"author": persistence.String("Ann Ähre <ann@example.org>"),
			"time":   persistence.String(strings.TrimSpace(runGit(t, dir, nil, "show", "-s", "--format=%aI", commit))),
		}, recorded.Metadata)
	}
	require.NotZero(t, seen)
}

func TestOtherHistories(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, dir string) string
		want   error
	}{
		"another repository": {
			func(t *testing.T, _ string) string { return randomRepository(t, 1, 3) }, ErrOtherRepository,
		},
		"an amended commit": {
			func(t *testing.T, dir string) string {
				s := new(script)
				s.branch("main", "refs/heads/main~2")
				s.commit("main", file("amended", ""))
				s.commit("main", file("amended", "again"))
				s.commit("main", file("amended", "and again"))
				s.runIn(t, dir)
				return dir
			}, ErrRewritten,
		},
		"an older commit": {
			func(t *testing.T, dir string) string {
				runGit(t, dir, nil, "update-ref", "refs/heads/main", "main~1")
				return dir
			}, ErrRewritten,
		},
		"a merge that has the history as its second parent": {
			func(t *testing.T, dir string) string {
				s := new(script)
				s.branch("main", "refs/heads/main~3")
				s.commit("main", file("left", ""))
				s.merge("main", strings.TrimSpace(runGit(t, dir, nil, "rev-parse", "main")), file("right", ""))
				s.runIn(t, dir)
				return dir
			}, ErrRewritten,
		},
		"a repository without commits": {
			func(t *testing.T, _ string) string { return newRepository(t) }, ErrRewritten,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := oddRepository(t), inMemory()
			require.Zero(t, l.run(t, dir).status)
			before := l.read(t)

			r := l.run(t, c.change(t, dir))

			require.Equal(t, 2, r.status)
			require.Equal(t, "gitledger: "+c.want.Error()+"\n", r.screen)
			require.Equal(t, before, l.read(t))
		})
	}

	t.Run("rewritten after an interrupt, before the first note of the ledger", func(t *testing.T) {
		t.Parallel()
		dir, l := randomRepository(t, 3, 100), inMemory()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		journal, _ := l.open(ctx, l.url, true)
		interrupted := ledger{open: func(context.Context, string, bool) (persistence.Journal, error) {
			return onCommit(journal, 50, interrupt), nil
		}}
		require.Equal(t, 2, interrupted.runUntil(ctx, "--journal", "memory:", dir).status)
		runGit(t, dir, nil, "update-ref", "refs/heads/main", "main~1")

		r := l.run(t, dir)

		require.Equal(t, "gitledger: "+ErrRewritten.Error()+"\n", r.screen)
	})
}

func TestRepositoryWithoutCommits(t *testing.T) {
	t.Parallel()
	dir, l := newRepository(t), inMemory()

	r := l.runUntil(t.Context(), dir)
	require.Equal(t, result{0, "", "the repository has no commits yet\n"}, r)

	r = l.run(t, dir)
	require.Zero(t, r.status, r.screen)
	require.Contains(t, r.out, "0 files equal")
	require.Empty(t, l.read(t))
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	dir, l := oddRepository(t), inMemory()
	require.Zero(t, l.run(t, dir).status)
	plain := t.TempDir()
	side := strings.TrimSpace(runGit(t, dir, nil, "rev-parse", "side"))
	busy := inSQLite(t)
	journal, err := busy.open(t.Context(), busy.url, true)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, journal.Close()) })

	for name, c := range map[string]struct {
		ledger    ledger
		arguments []string
		want      string
	}{
		"no repository":       {l, []string{"--journal", "memory:", plain}, "not a git repository"},
		"two repositories":    {l, []string{dir, dir}, "give one repository"},
		"flags behind":        {l, []string{dir, "--journal", "memory:"}, "give one repository, behind the flags"},
		"unknown flag":        {l, []string{"--nonsense"}, "usage: gitledger"},
		"unknown journal":     {ledger{open: openJournal}, []string{"--journal", "mysql://x", dir}, `"mysql:" is none of sqlite:PATH`},
		"unknown commit":      {l, []string{"--journal", "memory:", "--state-at", "nowhere", dir}, `no commit "nowhere"`},
		"commit beside":       {l, []string{"--journal", "memory:", "--state-at", "side", dir}, "commit " + side + " lies on a side branch"},
		"position beyond":     {l, []string{"--journal", "memory:", "--state-at", "999999", dir}, "position 999999 is not in the journal, which has the positions 1 to "},
		"negative position":   {l, []string{"--journal", "memory:", "--state-at", "-1", dir}, "position -1 is not in the journal"},
		"commit not reached":  {inMemory(), []string{"--journal", "memory:", "--state-at", "main", dir}, "has reached commit 0 of "},
		"journal in use":      {busy, []string{"--journal", busy.url, dir}, "in use by process"},
		"journal of no place": {ledger{open: openJournal}, []string{"--journal", "sqlite:" + filepath.Join(dir, ".git", "HEAD", "x.db"), dir}, "open journal: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := c.ledger.runUntil(t.Context(), c.arguments...)
			require.Equal(t, 2, r.status)
			require.Empty(t, r.out)
			require.Contains(t, r.screen, c.want)
		})
	}
}

func TestForeignEvents(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		event persistence.Event
		want  string
	}{
		"of another program": {persistence.Event{Type: "bank.opened"}, "events of another program: bank.opened in file-x"},
		"that are garbage":   {persistence.Event{Type: "gitledger.v1.Written", Payload: []byte{0xff}}, "decode gitledger.v1.Written at position 1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, l := randomRepository(t, 2, 3), inMemory()
			journal, err := l.open(t.Context(), l.url, true)
			require.NoError(t, err)
			_, err = journal.Append(t.Context(), persistence.Append{Stream: "file-x", Events: []persistence.Event{c.event}})
			require.NoError(t, err)

			for _, arguments := range [][]string{{dir}, {"--state-at", "1", dir}, {"--state-at", "HEAD", dir}} {
				r := l.run(t, arguments...)
				require.Equal(t, 2, r.status)
				require.Contains(t, r.screen, c.want)
			}
		})
	}
}

// lost is a journal that fails after some appends.
type lost struct {
	*watched
	broken atomic.Bool
}

func (l *lost) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	if l.broken.Load() {
		return &persistence.UnavailableError{Reason: "pulled the plug"}
	}
	return l.watched.Submit(a, chain, done)
}

func TestJournalFailsInTheMiddle(t *testing.T) {
	t.Parallel()
	dir, l := randomRepository(t, 11, 1200), inMemory()
	journal, err := l.open(t.Context(), l.url, true)
	require.NoError(t, err)
	for _, appends := range []int64{1, 100, 1500} {
		failing := &lost{}
		failing.watched, _ = onCommit(journal, appends, func() { failing.broken.Store(true) }).(*watched)
		r := ledger{open: func(context.Context, string, bool) (persistence.Journal, error) { return failing, nil }}.run(t, dir)
		require.Equal(t, 2, r.status)
		require.Contains(t, r.screen, "pulled the plug")
	}

	require.Zero(t, l.run(t, dir).status)
	l.requireOnce(t, dir)
}

// slow is a journal that keeps the answer to one append until so many others are
// stored, and sees what the ledger notes meanwhile.
type slow struct {
	persistence.Journal
	persistence.Submitter
	stream persistence.StreamID
	others atomic.Int64
	answer chan func()
	notes  atomic.Int64
}

func (s *slow) Submit(a persistence.Append, chain *persistence.Chain, done func(persistence.Outcome)) error {
	isFile := a.Stream.Category() == "file"
	if !isFile && s.others.Load() > 0 {
		s.notes.Add(1)
	}
	return s.Submitter.Submit(a, chain, func(o persistence.Outcome) {
		switch {
		case a.Stream == s.stream:
			s.answer <- func() { done(o) }
			return
		case isFile && s.others.Add(-1) == 0:
			defer func() { go (<-s.answer)() }() // ends with the answer, before the run
		}
		done(o)
	})
}

func TestLedgerWaitsForTheSlowestFile(t *testing.T) {
	t.Parallel()
	const commits = checkpointEvery + 200
	s := new(script)
	for i := range commits {
		s.commit("main", file(fmt.Sprint("file", i), ""))
	}
	dir, l := newRepository(t), inMemory()
	s.runIn(t, dir)
	journal, err := l.open(t.Context(), l.url, true)
	require.NoError(t, err)
	// The file of the commit to be noted; some later ones wait behind it.
	held := &slow{Journal: journal, stream: persistence.StreamID(fmt.Sprint("file-file", checkpointEvery-1)), answer: make(chan func(), 1)}
	held.Submitter, _ = journal.(persistence.Submitter)
	held.others.Store(commits - 15)

	ledger{open: func(context.Context, string, bool) (persistence.Journal, error) { return held, nil }}.imports(t, dir, commits, commits)

	require.EqualValues(t, 1, held.notes.Load(), "the ledger has noted more than its beginning before all files knew")
}

// Not parallel, because the working directory belongs to the process.
func TestDefaults(t *testing.T) {
	dir := oddRepository(t)
	t.Chdir(dir)
	l := ledger{open: openJournal}

	r := l.runUntil(t.Context())
	require.Zero(t, r.status, r.screen)

	_, chain := open(t, ".")
	_, err := os.Stat(filepath.Join(".stele", "gitledger-"+chain.At(1)[:12]+".db"))
	require.NoError(t, err)
	r = l.runUntil(t.Context(), "--state-at", "HEAD")
	require.Equal(t, runGit(t, dir, nil, "ls-tree", "-r", "HEAD"), r.out)
	require.Contains(t, l.runUntil(t.Context()).out, "recorded 0 commits, 0 changes")
}

func TestHelp(t *testing.T) {
	t.Parallel()
	r := inMemory().runUntil(t.Context(), "-h")
	require.Zero(t, r.status)
	require.Contains(t, r.screen, "usage: gitledger")
	require.Contains(t, r.screen, "-state-at")
}

var errNobody = errors.New("nobody")

func TestErrorsOfOutput(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, Tree{"a": {Mode: 0o100644}}.Print(broken{}), errNobody)
}

type broken struct{}

func (broken) Write([]byte) (int, error) { return 0, errNobody }
