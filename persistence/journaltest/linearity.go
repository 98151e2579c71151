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

// call is an append to a stream, or a reading of it when it has no text.
type call struct {
	stream   persistence.StreamID
	expected persistence.Expected
	text     string
}

// answer is what a call returned: the version after an append, the version found
// by a conflict, the texts read.
type answer struct {
	version  persistence.Version
	conflict bool
	texts    string
}

// linearizable records what clients called, when, and what they were told, and
// has porcupine look for one order of the calls that explains all answers.
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
				answer, err := j.answer(c)
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

// callOf mixes reads, appends without expectation, and exact ones of which some
// meet the version by chance.
func callOf(client, i int) call {
	c := call{stream: sharedStream(client + i/2), text: fmt.Sprintf("%d.%d", client, i)}
	switch (client + i) % 4 {
	case 0, 1:
		c.text = ""
	case 2:
		c.expected = persistence.Any
	case 3:
		c.expected = persistence.Exact(persistence.Version(i))
	}
	return c
}

func (j journal) answer(c call) (answer, error) {
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

// streamModel is one stream as the texts of its notes.
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
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		texts, c, a := state.(string), input.(call), output.(answer)
		version := persistence.Version(len(strings.Fields(texts)))
		switch {
		case c.text == "":
			return a.texts == texts, texts
		case a.conflict:
			return a.version == version && !c.expected.Accepts(version), texts
		}
		return a.version == version+1 && c.expected.Accepts(version), strings.TrimSpace(texts + " " + c.text)
	},
}
