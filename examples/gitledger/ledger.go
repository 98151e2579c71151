package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"sync"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
)

// The contract of the ledger.
var (
	Begin   = actors.NewCommand[*ledgerpb.Begin, *ledgerpb.Progress]("ledger")
	Reach   = actors.NewCommand[*ledgerpb.Reach, *ledgerpb.Progress]("ledger")
	Inspect = actors.NewCommand[*ledgerpb.Inspect, *ledgerpb.Progress]("ledger")
)

// ErrOtherRepository and ErrRewritten refuse a history that the journal does not
// hold the beginning of.
var (
	ErrOtherRepository = errors.New("the journal holds another repository: use a fresh journal for this one")
	ErrRewritten       = errors.New("the journal holds commits that are not in the history of HEAD: " +
		"it was rewritten, or HEAD is an older commit or another branch; go back to that history, or use a fresh journal for this one")
)

// Ledger knows how far the import of the repository has come. It saves time, no
// more: a file that is told of a commit twice keeps it once.
type Ledger struct {
	root            string
	target, reached mark
}

type mark struct {
	ordinal uint64
	commit  string
}

// Ledgers is the aggregate; a journal has one, because paths alone name files.
var Ledgers = actors.Define("ledger",
	actors.Handle(Begin, (*Ledger).begin),
	actors.Handle(Reach, (*Ledger).reach),
	actors.Handle(Inspect, (*Ledger).inspect),
	actors.On((*Ledger).begun),
	actors.On((*Ledger).advanced),
)

const ledgerID = "main"

func (l *Ledger) begin(tx *actors.Tx, c *ledgerpb.Begin) (*ledgerpb.Progress, error) {
	if l.root != "" && l.root != c.Root {
		return nil, ErrOtherRepository
	}
	if c.Target.GetOrdinal() > l.target.ordinal {
		tx.Raise(&ledgerpb.Begun{Root: c.Root, Target: c.Target})
	}
	return l.progress(), nil
}

func (l *Ledger) reach(tx *actors.Tx, c *ledgerpb.Reach) (*ledgerpb.Progress, error) {
	if c.Mark.GetOrdinal() > l.reached.ordinal {
		tx.Raise(&ledgerpb.Reached{Mark: c.Mark})
	}
	return l.progress(), nil
}

func (l *Ledger) inspect(*actors.Tx, *ledgerpb.Inspect) (*ledgerpb.Progress, error) {
	return l.progress(), nil
}

func (l *Ledger) progress() *ledgerpb.Progress {
	return &ledgerpb.Progress{Root: l.root, Target: l.target.message(), Reached: l.reached.message()}
}

func (l *Ledger) begun(e *ledgerpb.Begun)      { l.root, l.target = e.Root, markOf(e.Target) }
func (l *Ledger) advanced(e *ledgerpb.Reached) { l.reached = markOf(e.Mark) }

func markOf(m *ledgerpb.Mark) mark { return mark{ordinal: m.GetOrdinal(), commit: m.GetCommit()} }

func (m mark) message() *ledgerpb.Mark { return &ledgerpb.Mark{Ordinal: m.ordinal, Commit: m.commit} }

// check returns an error unless everything in the journal is from this chain.
// The target counts too, because commits up to it may have been recorded.
func (l *Ledger) check(chain Chain) error {
	switch {
	case l.root == "":
		return nil
	case len(chain) > 0 && chain.At(1) != l.root:
		return ErrOtherRepository
	case chain.At(l.target.ordinal) != l.target.commit || chain.At(l.reached.ordinal) != l.reached.commit:
		return ErrRewritten
	}
	return nil
}

const (
	// commandsAtOnce is how many files are told of a change at the same time. Each
	// waits for the disk, so the journal stores as many in one go.
	commandsAtOnce = 512
	// commitsAhead bounds how far the reader of git runs before the slowest file.
	commitsAhead = 1024
	// checkpointEvery is how many commits lie between two notes in the ledger. Those
	// after the last note are repeated when an import was killed.
	checkpointEvery = 500
)

// Imported counts what an import did.
type Imported struct{ Commits, Changes int }

// Import tells the files what the commits did to them, beginning after the last
// one that all are known to know.
//
// Files are independent of each other: only the commits of one file have to
// reach it in order, and a commit is complete when all its files have answered.
func Import(ctx context.Context, node actors.Asker, repository *Repository, chain Chain, screen io.Writer) (Imported, error) {
	reached, err := begin(ctx, node, chain)
	if err != nil {
		return Imported{}, err
	}
	meter := startMeter(screen, "commits", len(chain)-int(reached))
	defer meter.stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	files := newLanes(commandsAtOnce)
	steps := make(chan step, commitsAhead)
	var checkpoints sync.WaitGroup
	checkpoints.Go(func() {
		for s := range steps {
			s.known.Wait()
			if ctx.Err() != nil {
				continue // perhaps not all its files know
			}
			meter.add(1)
			if s.ordinal%checkpointEvery == 0 || s.ordinal == uint64(len(chain)) {
				if err := reach(ctx, node, s.mark); err != nil {
					fail(err)
				}
			}
		}
	})

	var done Imported
	for commit, err := range repository.Commits(ctx, chain, reached) {
		if err != nil {
			fail(err)
			break
		}
		origin, known := withOrigin(ctx, commit), new(sync.WaitGroup)
		for _, change := range commit.Changes {
			known.Add(1)
			files.do(change.Path, func() {
				defer known.Done()
				if err := record(origin, node, commit.Ordinal, change); err != nil {
					fail(err)
				}
			})
		}
		steps <- step{mark{commit.Ordinal, commit.Hash}, known}
		done.Commits++
		done.Changes += len(commit.Changes)
	}
	close(steps)
	files.close()
	checkpoints.Wait()
	return done, context.Cause(ctx)
}

// step is a commit on its way; known is done when all its files know of it.
type step struct {
	mark
	known *sync.WaitGroup
}

// begin announces the import before the first file hears of it, and returns the
// ordinal of the last commit that all files know of.
func begin(ctx context.Context, node actors.Asker, chain Chain) (reached uint64, err error) {
	progress, err := Inspect.Ask(ctx, node, ledgerID, &ledgerpb.Inspect{})
	if err != nil {
		return 0, err
	}
	known := Ledger{root: progress.Root, target: markOf(progress.Target), reached: markOf(progress.Reached)}
	if err := known.check(chain); err != nil || len(chain) == 0 {
		return 0, err
	}
	head := mark{uint64(len(chain)), chain.Head()}
	_, err = Begin.Ask(ctx, node, ledgerID, &ledgerpb.Begin{Root: chain.At(1), Target: head.message()})
	return known.reached.ordinal, err
}

func reach(ctx context.Context, node actors.Asker, m mark) error {
	_, err := Reach.Ask(ctx, node, ledgerID, &ledgerpb.Reach{Mark: m.message()})
	return err
}

// record tells one file of one change.
func record(ctx context.Context, node actors.Asker, ordinal uint64, change Change) error {
	_, err := Record.Ask(ctx, node, fileID(change.Path), &ledgerpb.Record{
		Path:    []byte(change.Path),
		Ordinal: ordinal,
		Before:  change.Before.message(),
		After:   change.After.message(),
	})
	if err != nil {
		return fmt.Errorf("record commit %d in %s: %w", ordinal, quote(change.Path), err)
	}
	return nil
}

// withOrigin names the commit as the cause of what is asked with the context: an
// event's causation is the first half of the hash or more, which git resolves.
func withOrigin(ctx context.Context, commit Commit) context.Context {
	var cause persistence.EventID
	if hash, err := hex.DecodeString(commit.Hash); err == nil {
		copy(cause[:], hash)
	}
	return actors.WithCausation(actors.WithMetadata(ctx, persistence.Metadata{
		"commit": persistence.String(commit.Hash),
		"author": persistence.String(commit.Author),
		"time":   persistence.String(commit.Time),
	}), cause)
}

// lanes run functions side by side, except that those of one key run one after
// the other in the order they came.
type lanes struct {
	queues  []chan func()
	seed    maphash.Seed
	running sync.WaitGroup
}

func newLanes(count int) *lanes {
	l := &lanes{queues: make([]chan func(), count), seed: maphash.MakeSeed()}
	for i := range l.queues {
		queue := make(chan func(), 32)
		l.queues[i] = queue
		l.running.Go(func() {
			for f := range queue {
				f()
			}
		})
	}
	return l
}

// do hands a function over. It waits while the lane of the key is full.
func (l *lanes) do(key string, f func()) {
	l.queues[maphash.String(l.seed, key)%uint64(len(l.queues))] <- f
}

// close returns when everything has run.
func (l *lanes) close() {
	for _, queue := range l.queues {
		close(queue)
	}
	l.running.Wait()
}
