package appender

import (
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// tell calls the callbacks of entries from one on, in their order and on this goroutine,
// for what tells every append must cost nothing. One that panics is as one that
// returned. One that ends the goroutine ends it when the others have been called: see
// [Again].
func (q *Queue) tell(entries []entry, outcome func(i int) persistence.Outcome, i int) {
	defer func() {
		if i == len(entries) {
			return
		}
		err := usercode.Exited()
		if reason := recover(); reason != nil {
			err = usercode.Panicked(reason)
		}
		q.config.Logger.Error("the callback of an append did not return", "stream", entries[i].append.Stream, "err", err)
		q.tell(entries, outcome, i+1)
	}()
	for ; i < len(entries); i++ {
		entries[i].done(outcome(i))
	}
}

// Again calls f, and calls it once more when a callback has ended the goroutine in it,
// before the goroutine ends. So a loop that settles goes on although nobody can keep a
// goroutine that runtime.Goexit has begun to end. Appends settled the first time must not
// harm the second; [Batch.Settle] and [Batch.SettleParts] do nothing then. A panic is
// passed on.
func Again(f func()) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if reason := recover(); reason != nil {
			panic(reason) //nolint:forbidigo // not ours: only callbacks are forgiven
		}
		Again(f)
	}()
	f()
	returned = true
}
