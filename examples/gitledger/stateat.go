package main

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strconv"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
)

// StateAt returns the tree as it was at a moment, read from the journal. The
// moment is a position of the journal or a commit, by any name that git knows
// and on the way from the root to HEAD.
func StateAt(ctx context.Context, journal persistence.Reader, moment string, repository *Repository, chain Chain) (Tree, error) {
	// A decimal number of the length of a hash is a hash.
	if offset, err := strconv.ParseInt(moment, 10, 64); err == nil && len(moment) < 40 {
		return stateAtPosition(ctx, journal, persistence.Position{Offset: offset})
	}
	hash, err := repository.Resolve(ctx, moment)
	if err != nil {
		return nil, err
	}
	ordinal := chain.Ordinal(hash)
	if ordinal == 0 {
		return nil, fmt.Errorf("commit %s lies on a side branch: the ledger holds the first parents of HEAD", hash)
	}
	return stateAtCommit(ctx, journal, chain, ordinal)
}

func stateAtPosition(ctx context.Context, journal persistence.Reader, until persistence.Position) (Tree, error) {
	head, err := journal.Head(ctx)
	if err != nil {
		return nil, err
	}
	if until.Offset < 0 || !head.Covers(until) {
		return nil, fmt.Errorf("position %s is not in the journal, which has the positions 1 to %s", until, head.Of(until.Part))
	}
	tree := Tree{}
	for fact, err := range facts(ctx, journal) {
		if err != nil {
			return nil, err
		}
		if fact.at.Offset > until.Offset {
			break
		}
		tree.apply(fact.message, math.MaxUint64)
	}
	return tree, nil
}

// stateAtCommit goes by the ordinals of the events. Their positions do not tell
// commits apart, because files are written side by side.
func stateAtCommit(ctx context.Context, journal persistence.Reader, chain Chain, until uint64) (Tree, error) {
	tree, ledger := Tree{}, Ledger{}
	for fact, err := range facts(ctx, journal) {
		if err != nil {
			return nil, err
		}
		switch e := fact.message.(type) {
		case *ledgerpb.Begun:
			ledger.begun(e)
		case *ledgerpb.Reached:
			ledger.advanced(e)
		default:
			tree.apply(e, until)
		}
	}
	if err := ledger.check(chain); err != nil {
		return nil, err
	}
	if ledger.reached.ordinal < until {
		return nil, fmt.Errorf("the ledger has reached commit %d of %d, and this is commit %d: run gitledger without --state-at first",
			ledger.reached.ordinal, len(chain), until)
	}
	return tree, nil
}

// apply changes the tree by an event of a file unless it is of a later commit.
func (t Tree) apply(event proto.Message, until uint64) {
	switch e := event.(type) {
	case *ledgerpb.Written:
		if e.Ordinal <= until {
			t[string(e.Path)] = entryOf(e.Entry)
		}
	case *ledgerpb.Removed:
		if e.Ordinal <= until {
			delete(t, string(e.Path))
		}
	}
}

// fact is an event of a file or of the ledger, decoded.
type fact struct {
	at      persistence.Position
	message proto.Message
}

// facts yields everything that happened, oldest first.
func facts(ctx context.Context, journal persistence.Reader) iter.Seq2[fact, error] {
	return func(yield func(fact, error) bool) {
		for page, err := range journal.ReadAll(ctx, persistence.ReadAllOptions{PageRows: 2000}) {
			if err != nil {
				yield(fact{}, err)
				return
			}
			for i := range page.Events {
				recorded := &page.Events[i]
				message, err := decode(recorded)
				if !yield(fact{recorded.Position, message}, err) || err != nil {
					return
				}
			}
		}
	}
}

func decode(recorded *persistence.Recorded) (proto.Message, error) {
	name := protoreflect.FullName(recorded.Type)
	kind, err := protoregistry.GlobalTypes.FindMessageByName(name)
	if err != nil {
		return nil, fmt.Errorf("the journal holds events of another program: %s in %s", recorded.Type, recorded.Stream)
	}
	message := kind.New().Interface()
	if err := proto.Unmarshal(recorded.Payload, message); err != nil {
		return nil, fmt.Errorf("decode %s at position %s: %w", recorded.Type, recorded.Position, err)
	}
	return message, nil
}
