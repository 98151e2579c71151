package appending

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/stele-es/stele/persistence/postgres/internal/streamids"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// The lean function may refuse a tenth of the batches. When it refuses more, the exact
// function is used for a while.
func TestFallback(t *testing.T) {
	t.Parallel()
	start := time.Now()
	var c fallback
	for i := range 100 {
		c.note(i%10 == 9, start)
	}
	require.Zero(t, c.until, "a tenth is not too much")

	c.note(true, start)

	require.Equal(t, start.Add(fallbackWindow), c.until)
	c.note(false, start.Add(3*fallbackWindow))
	require.Equal(t, 1, c.batches, "it begins anew")
}

// An early release is advised once events of others come between more than a tenth of the
// batches, and the late one when the link has been alone.
func TestContention(t *testing.T) {
	t.Parallel()
	now := time.Now()
	var r contention
	for i := range 100 {
		r.note(i%25 == 0, now)
	}
	_, differs := r.change(false)
	require.False(t, differs, "now and then is not often")
	for range 10 {
		r.note(true, now)
	}
	early, differs := r.change(false)
	require.True(t, early && differs)
	_, differs = r.change(false)
	require.False(t, differs, "an advice is given once")
	r.note(true, now)
	_, differs = r.change(true)
	require.False(t, differs, "it is so already")

	r.note(false, now.Add(aloneAfter))
	_, differs = r.change(true)
	require.False(t, differs)
	r.note(false, now.Add(aloneAfter+time.Second))
	early, differs = r.change(true)
	require.True(t, !early && differs)
}

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
	c := New(Config{Streams: streamids.New(10)}, nil)
	c.link = &link{Conn: wire.New(client, time.Second)}
	defer c.link.Close(false)
	stale := &flight{epoch: c.config.Streams.Epoch()}
	c.launch(stale)
	require.NotNil(t, stale.link)

	c.config.Streams.Reset()
	late, fresh := &flight{epoch: stale.epoch}, &flight{epoch: c.config.Streams.Epoch()}
	c.launch(late)
	c.launch(fresh)

	require.Nil(t, late.link, "its ids are of an earlier epoch")
	require.Nil(t, fresh.link, "it would overtake")
	require.Equal(t, []*flight{stale, late, fresh}, c.inFlight)
}

// The flights that a flight leads to go before those that wait for its end, and these do not go
// out until they are the first.
func TestFlightsWaitForWhatTheyBuildOn(t *testing.T) {
	t.Parallel()
	server, client := net.Pipe()
	defer server.Close()
	go func() { _, _ = io.Copy(io.Discard, server) }() // ends with the pipe
	c := New(Config{Streams: streamids.New(10)}, nil)
	c.link = &link{Conn: wire.New(client, time.Second)}
	defer c.link.Close(false)
	settling := &flight{order: 1}
	c.launch(settling)
	builds, builds2 := &flight{order: 2, follows: true}, &flight{order: 3, follows: true}
	c.launch(builds)
	c.launch(builds2)
	require.Nil(t, builds.link, "what it builds on is under way")

	asks := settling.follow(nil)
	c.launch(asks)

	require.NotNil(t, asks.link)
	require.Equal(t, []*flight{settling, asks, builds, builds2}, c.inFlight)
	again := builds.follow(nil)
	c.launch(again)
	require.Equal(t, []*flight{settling, asks, builds, again, builds2}, c.inFlight)
	require.Empty(t, c.unsent())
}
