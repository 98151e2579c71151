package dedupe

import (
	"github.com/stele-es/stele/internal/fifo"
)

// clock tells how time has passed in a stream, as far as the times of its commands say so
// together. No reading of a clock counts alone: one that is wrong for a moment must not
// make an aggregate forget what it has promised to know. What the order of the stream
// says is never wrong, so time is told by blocks of commands, each by the smallest of
// its times, and does not go back. A clock that is ahead for less than a whole block
// changes nothing then, and neither does one that is behind.
type clock struct {
	low   int64 // unix seconds that are over for sure at the end of the last whole block
	high  int64 // the greatest time of any command
	least int64 // of the times in the block that has begun
	// over is, for the blocks from first on, the time that was over when the block after
	// it ended. Commands of later ones are not old.
	over  fifo.Queue[int64]
	first uint64
}

// block is the number of commands that tell the time together. Up to two blocks are never
// old.
const block = 32

// note notes the time of the next command.
func (c *clock) note(command uint64, at int64) {
	if command%block == 0 {
		if command >= block {
			c.low = max(c.low, c.least)
		}
		if command >= 2*block {
			c.over.Push(c.low)
		}
		c.least = at
	}
	c.high, c.least = max(c.high, at), min(c.least, at)
}

// age is for how many seconds a command has been there at least.
func (c *clock) age(command uint64) int64 {
	if at := command/block - c.first; at < uint64(c.over.Len()) { //nolint:gosec // a length
		return c.low - *c.over.At(int(at)) //nolint:gosec // within the queue
	}
	return 0
}

// forget gives up what is known of the blocks before a command.
func (c *clock) forget(before uint64) {
	for c.first < before/block && c.over.Len() > 0 {
		c.over.Pop()
		c.first++
	}
}
