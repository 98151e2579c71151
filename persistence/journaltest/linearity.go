package journaltest

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/anishathalye/porcupine"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/stele-es/stele/persistence"
)

var linearity = cases{
	"each stream is linearizable": linearizable,
}

// call is an append to a stream, its deletion, or, without a text, a reading of it.
type call struct {
	stream   persistence.StreamID
	expected persistence.Expected
	text     string
	deletes  bool
}

// answer is the result of a call: the version after an append or of a tombstone, the
// version that a conflict found, or the texts that were read.
type answer struct {
	version  persistence.Version
	conflict bool
	missing  bool
	texts    string
}

// linearizable records the calls of clients, their times and their answers. porcupine then
// searches for one order of the calls that explains all answers.
func linearizable(t *testing.T, s suite) {
	j := s.open(t)
	const clients, calls = 5, 16
	var clock atomic.Int64
	histories := make([][]porcupine.Operation, clients)
	var group errgroup.Group

	for client := range clients {
		group.Go(func() error {
			for i := range calls {
				c := callOf(client, i)
				operation := porcupine.Operation{ClientId: client, Input: c, Call: clock.Add(1)}
				answer, err := answerOf(j, c)
				if err != nil {
					return err
				}
				operation.Output, operation.Return = answer, clock.Add(1)
				histories[client] = append(histories[client], operation)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())

	var history []porcupine.Operation
	for _, operations := range histories {
		history = append(history, operations...)
	}
	require.Equal(t, porcupine.Ok, porcupine.CheckOperationsTimeout(streamModel, history, s.patience))
}

// callOf draws a read, an append without expectation, an append with an exact version that
// may be right by chance, or a deletion.
func callOf(client, i int) call {
	c := call{stream: sharedStream(client + i/2), text: fmt.Sprintf("%d.%d", client, i)}
	switch (client + i) % 8 {
	case 0, 1, 4, 5:
		c.text = ""
	case 2, 6:
		c.expected = persistence.Any
	case 3:
		c.expected = persistence.Exact(persistence.Version(i))
	case 7:
		c.expected, c.deletes = persistence.Any, true
	}
	return c
}

func answerOf(j journal, c call) (answer, error) {
	if c.deletes {
		version, err := j.Delete(j.ctx, c.stream, c.expected)
		if errors.Is(err, persistence.ErrStreamNotFound) {
			return answer{missing: true}, nil
		}
		return answer{version: version}, err
	}
	if c.text == "" {
		events, err := j.read(c.stream, persistence.ReadOptions{})
		if err != nil && !errors.Is(err, persistence.ErrStreamNotFound) {
			return answer{}, err
		}
		return answer{texts: strings.Join(textsOf(events), " ")}, nil
	}
	outcomes, err := j.Append(j.ctx, persistence.Append{Stream: c.stream, Expected: c.expected, Events: []persistence.Event{note(c.text)}})
	if err != nil {
		return answer{}, err
	}
	if conflict, ok := errors.AsType[*persistence.ConflictError](outcomes[0].Err); ok {
		return answer{version: conflict.Actual, conflict: true}, nil
	}
	return answer{version: outcomes[0].Last}, outcomes[0].Err
}

// streamState is the state of a stream: its version, the first readable version, and the
// texts of the notes from there on.
type streamState struct {
	version, first persistence.Version
	texts          string
}

// streamModel says how calls change one stream.
var streamModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := map[persistence.StreamID][]porcupine.Operation{}
		for _, operation := range history {
			stream := operation.Input.(call).stream
			parts[stream] = append(parts[stream], operation)
		}
		var streams [][]porcupine.Operation
		for _, part := range parts {
			streams = append(streams, part)
		}
		return streams
	},
	Init: func() any { return streamState{first: 1} },
	Step: func(before, input, output any) (bool, any) {
		state, c, a := before.(streamState), input.(call), output.(answer)
		exists := state.version >= state.first
		switch {
		case c.deletes && a.missing:
			return !exists, state
		case c.deletes:
			return exists && a.version == state.version+1, streamState{version: state.version + 1, first: state.version + 2}
		case c.text == "":
			return a.texts == state.texts, state
		case a.conflict:
			return a.version == state.version && !c.expected.Admits(state.version, state.first, false), state
		}
		accepted := a.version == state.version+1 && c.expected.Admits(state.version, state.first, false)
		return accepted, streamState{state.version + 1, state.first, strings.TrimSpace(state.texts + " " + c.text)}
	},
}
