package actors

// answerLater queues an answer without events behind the commands decided before: it may
// show events that are not durable yet.
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

// answer gives the answers whose turn has come. A failed append stops it, because the
// commands behind it were decided on the events that were not stored.
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
			// The stream was deleted before, and its versions count on. Everything that
			// depends on other versions, such as the ids of sent commands, is read again.
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
	c.reply, c.err = nil, c.wrap(err)
	a.current = nil
	a.finish(c)
	c.answer()
}

// finish takes a command off the counters, before its caller gets the answer.
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

// whenStored does what waited until the append of a command was stored.
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

// sent hands on what a stored command has sent, and what it has ended.
func (a *activation) sent(c *call) {
	for _, s := range c.sends {
		s.stored, s.position = true, a.position
	}
	a.system.open.since.Add(int64(len(c.sends) - len(c.ended)))
	a.system.deliverer.stored(a.key, c, a.open)
}

// confirm asks for a proof that the state is current, if commands wait for one. While
// appends of the aggregate are on their way, their outcome is the proof or refutes it.
func (a *activation) confirm() {
	if len(a.proving) > 0 && a.proof == nil && a.depth.events == 0 {
		a.proof = &confirmation{of: a, version: a.version, position: a.position, known: a.known, read: a.read}
		a.system.confirmations.confirm(a.proof)
	}
}

// confirmed takes the answer to the question that confirm has asked.
func (a *activation) confirmed(c *confirmation) {
	if a.proof != c {
		return // the state was read again meanwhile
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
	case c.version == a.version: // otherwise an append of its own came between, which tells more
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

// proven answers the waiting commands that were decided on a state which is proven current.
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

// provenAll answers all waiting commands: an append that was decided after them was stored
// at the version on which they were decided.
func (a *activation) provenAll() {
	if len(a.proving) > 0 {
		a.proven(func(*call) bool { return true })
	}
}
