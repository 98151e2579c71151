package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/gitledger/ledgerpb"
	"github.com/stele-es/stele/persistence"
)

// Compare asks every file for its state and returns in which lines the answers
// differ from a tree of git: "-" is what git has, "+" what the files say. Asked
// are the files of the tree and all that the journal ever heard of, because one
// that git has deleted must know it.
func Compare(ctx context.Context, node actors.Asker, journal persistence.Reader, want Tree, screen io.Writer) ([]string, error) {
	known := Tree{}
	for fact, err := range facts(ctx, journal) {
		if err != nil {
			return nil, err
		}
		if event, ok := fact.message.(interface{ GetPath() []byte }); ok {
			known[string(event.GetPath())] = Entry{}
		}
	}
	maps.Copy(known, want)
	live, err := liveTree(ctx, node, slices.Collect(maps.Keys(known)), screen)
	if err != nil {
		return nil, err
	}
	return live.Differences(want), nil
}

// liveTree asks the files of these paths what they are.
func liveTree(ctx context.Context, node actors.Asker, paths []string, screen io.Writer) (Tree, error) {
	meter := startMeter(screen, "files", len(paths))
	defer meter.stop()
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var mu sync.Mutex // protects tree
	tree := Tree{}
	files := newLanes(commandsAtOnce)
	for _, path := range paths {
		files.do(path, func() {
			state, err := Show.Ask(ctx, node, fileID(path), &ledgerpb.Show{})
			if err != nil {
				fail(fmt.Errorf("show %s: %w", quote(path), err))
				return
			}
			meter.add(1)
			if state.Entry != nil {
				mu.Lock()
				defer mu.Unlock()
				tree[path] = entryOf(state.Entry)
			}
		})
	}
	files.close()
	return tree, context.Cause(ctx)
}
