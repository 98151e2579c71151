package postgres

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Answers come in the order of requests, so a flight must not go out while one
// before it waits for the ids of its streams.
func TestFlightsDoNotOvertake(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer server.Close()
	go func() { // ends with the pipe
		buf := make([]byte, 1024)
		for {
			if _, err := server.Read(buf); err != nil {
				return
			}
		}
	}()
	c := newCommitter(&Journal{streams: newStreams(10)})
	c.link = &link{conn: client, bound: time.Second}
	defer c.link.close(false)
	stale := &flight{epoch: c.journal.streams.current()}
	c.launch(stale)
	require.NotNil(t, stale.link)

	c.journal.streams.reset()
	late, fresh := &flight{epoch: stale.epoch}, &flight{epoch: c.journal.streams.current()}
	c.launch(late)
	c.launch(fresh)

	require.Nil(t, late.link, "its ids are of an earlier epoch")
	require.Nil(t, fresh.link, "it would overtake")
	require.Equal(t, []*flight{stale, late, fresh}, c.inFlight)
}
