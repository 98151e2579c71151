package actors

// answerLater queues an answer without events behind those decided before: what
// it shows may rest on events that are not durable yet.
func (a *activation) answerLater(c *call, reply any, err error) {
	c.reply, c.err, c.attempt = reply, err, attempt{settled: true}
	a.queue(c)
}

// queue gives a decided command its place in the order of answers.
func (a *activation) queue(c *call) {
	c.last = a.version
	a.depth.add(c, 1)
	a.pending.Push(c)
	a.current = nil
}

// answer gives the answers whose turn it is. A failed append stops it: the
// commands behind it were decided on what failed.
func (a *activation) answer() {
	for a.pending.Len() > 0 {
		c := *a.pending.At(0)
		if !c.settled {
			return
		}
		if c.outcome.Err != nil {
			a.phase = draining
			return
		}
		a.pending.Pop()
		a.depth.add(c, -1)
		if c.repeats > 0 {
			a.lookUp(c)
			continue
		}
		if c.events > 0 {
			a.system.appends.succeeded()
			a.position = c.outcome.Position
			a.position.Offset += int64(c.events) - 1
			a.known = max(a.known, a.position.Offset)
			if !c.outcome.Duplicate {
				a.provenAll()
			}
			if c.class != generated {
				a.memory.Settle(a.position)
			}
		}
		if c.events > 0 && c.outcome.Last != c.last {
			// The stream was deleted before, and its versions count on. What rests on
			// others, such as the ids of what is sent, is made anew from the stream.
			a.dirty, c.last = true, c.outcome.Last
			a.forgetHistory()
		} else {
			a.whenStored(c)
		}
		c.receipt = Receipt{Command: c.id, Version: c.last, Events: c.raised, Position: a.position}
		if c.events == 0 && a.read <= c.asked && c.mustBeCurrent() {
			c.release()
			a.proving = append(a.proving, c)
			continue
		}
		a.slot.pace.answers(a.slot.busy.Load())
		a.finish(c)
		c.answer()
		a.system.snapshots.take(a)
	}
}

// refuse answers a command with an error of the runtime.
func (a *activation) refuse(c *call, err error) {
	c.reply, c.err = nil, c.border(err)
	a.current = nil
	a.finish(c)
	c.answer()
}

// finish takes a command off the counters, before its caller can know.
func (a *activation) finish(c *call) {
	if a.slot.busy.Add(-1) == 0 {
		a.slot.pace.forget()
	}
	a.system.inFlight.remove(c)
}

// offerOpen hands what is open to the deliverer.
func (a *activation) offerOpen() {
	if len(a.open) > 0 {
		a.system.deliverer.offer(a.key, a.open)
	}
}

// whenStored follows the append of a command.
func (a *activation) whenStored(c *call) {
	if a.history != nil && c.events > 0 {
		a.note(c)
	}
	if len(c.sends)+len(c.ended) > 0 {
		a.sent(c)
	}
	if c.snapshot != nil {
		a.system.snapshots.offer(c.snapshot)
		c.snapshot = nil
	}
}

// sent follows the append of a command that has sent something, or ended it.
func (a *activation) sent(c *call) {
	for _, s := range c.sends {
		s.stored, s.position = true, a.position
	}
	a.system.open.since.Add(int64(len(c.sends) - len(c.ended)))
	a.system.deliverer.stored(a.key, c, a.open)
}

// confirm sees to it that those who wait for a proof get one. While something of the
// aggregate's is on its way to the journal the outcome of that is the proof, or shows
// that there is none.
func (a *activation) confirm() {
	if len(a.proving) > 0 && a.proof == nil && a.depth.events == 0 {
		a.proof = &confirmation{of: a, version: a.version, position: a.position, known: a.known, read: a.read}
		a.system.confirmations.confirm(a.proof)
	}
}

// confirmed takes the answer to what confirm has asked.
func (a *activation) confirmed(c *confirmation) {
	if a.proof != c {
		return // the state is another one by now
	}
	a.proof = nil
	switch {
	case c.err != nil:
		for _, waits := range a.proving {
			a.refuse(waits, unread(c.err))
		}
		a.proving = nil
	case !c.moved:
		// A journal that has lost its tail ends before what was known.
		a.read, a.known = max(a.read, c.began), max(c.seen, a.position.Offset)
		a.proven(func(waits *call) bool { return waits.asked < a.read })
	case c.version == a.version: // else its own append has come between, which tells
		a.system.stats.stale.Add(1)
		if !a.dirty {
			a.stands = c.stands
		}
		a.dirty = true
		for _, waits := range a.proving {
			a.redo.Push(waits)
		}
		a.proving = nil
	}
}

// proven answers commands of which it is known that they were decided on a current
// state.
func (a *activation) proven(is func(*call) bool) {
	waiting := a.proving[:0]
	for _, c := range a.proving {
		if !is(c) {
			waiting = append(waiting, c)
			continue
		}
		a.finish(c)
		c.answer()
	}
	clear(a.proving[len(waiting):])
	a.proving = waiting
}

// provenAll answers them all: an append that was decided after them was stored at the
// version that they were decided on.
func (a *activation) provenAll() {
	if len(a.proving) > 0 {
		a.proven(func(*call) bool { return true })
	}
}
