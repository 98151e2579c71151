package dedupe

import (
	"context"
	"errors"
	"time"

	"github.com/stele-es/stele/actors/internal/stored"
	"github.com/stele-es/stele/persistence"
)

// Part is a part of a stream that is read for the commands in it. A [History] says which:
// see [History.Next].
type Part struct {
	from    persistence.Version // the one to begin with, backward or forward
	forward bool
	limit   int

	commands []found // in the order in which they were read
	first    persistence.Version
	last     persistence.Version // the greatest one read; first is the least
	oldest   persistence.Position
	newest   time.Time // no event of it is newer
	end      end
}

// found is a command that stands in a stream, and where.
type found struct {
	id      persistence.CommandID
	version persistence.Version
}

// end says what precedes a part of a stream that was read backward.
type end uint8

const (
	further   end = iota // more events
	beginning            // nothing
	truncated            // events that can be read no more
)

// Read reads the part. A stream that does not exist has no commands.
func (p *Part) Read(ctx context.Context, reader persistence.Reader, stream persistence.StreamID) (err error) {
	n := 0
	for recorded, err := range reader.Read(ctx, stream, persistence.ReadOptions{From: p.from, Backward: !p.forward, Limit: p.limit}) {
		if errors.Is(err, persistence.ErrStreamNotFound) {
			p.end = beginning
			return nil
		}
		if err == nil {
			err = p.add(&recorded, n == 0)
		}
		if err != nil {
			return err
		}
		n++
	}
	switch {
	case p.forward || n == p.limit && p.first > 1:
	case p.first == 1:
		p.end = beginning
	default:
		p.end, err = before(ctx, reader, stream)
	}
	return err
}

// before says why the events of a stream end before its first version: it was deleted
// and written again, so that they are another life's, or they were truncated.
func before(ctx context.Context, reader persistence.Reader, stream persistence.StreamID) (end, error) {
	info, err := reader.Stream(ctx, stream)
	switch {
	case errors.Is(err, persistence.ErrStreamNotFound):
		return beginning, nil
	case err != nil:
		return further, err
	case info.First != info.Begin:
		return truncated, nil
	}
	return beginning, nil
}

func (p *Part) add(recorded *persistence.Recorded, first bool) error {
	about, err := stored.ReadAbout(recorded)
	if err != nil {
		return &persistence.CorruptError{Stream: recorded.Stream, Version: recorded.Version, Reason: "the headers cannot be decoded", Err: err}
	}
	if first {
		p.first, p.last, p.oldest = recorded.Version, recorded.Version, recorded.Position
	}
	if recorded.Version <= p.first {
		p.first, p.oldest = recorded.Version, recorded.Position
	}
	p.last = max(p.last, recorded.Version)
	if recorded.At.After(p.newest) {
		p.newest = recorded.At
	}
	if n := len(p.commands); about.Command != (persistence.CommandID{}) {
		if n > 0 && p.commands[n-1].id == about.Command { // further events of one command
			p.commands[n-1].version = max(p.commands[n-1].version, recorded.Version)
			return nil
		}
		p.commands = append(p.commands, found{about.Command, recorded.Version})
	}
	return nil
}
