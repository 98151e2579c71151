package persistence

import "context"

// Transactor is the ability of a journal to append to several streams at once.
type Transactor interface {
	// Transact runs body and commits what it appended, all or nothing. An error or
	// a panic of body rolls back and comes back unchanged. The first append that
	// fails poisons the transaction: later ones return its error, and the commit
	// does not happen even if body returns nil; Transact returns that error then.
	//
	// The transaction holds up every other writer of the partition from its first
	// append on, so body should append last, and must not wait for the journal other
	// than through tx: a call with its context that would wait is [ErrInvalid] at once. Readers are not held up and see nothing of it before the commit.
	// Appends that are submitted meanwhile are taken and wait their turn.
	//
	// Errors of the commit itself are those of [Appender.Append]: unavailable when
	// nothing was done, also because ctx had ended, and unknown when that is not known.
	Transact(ctx context.Context, body func(ctx context.Context, tx Transaction) error) error
}

// Transaction is the access to the journal that a body of [Transactor.Transact] has. It
// ends with the body, after which it answers with [ErrInvalid], and serves one goroutine.
type Transaction interface {
	// Append stores each append and returns its outcome, or the error that has
	// poisoned the transaction: that of the first append that was refused, invalid ones
	// included. Each sees those before it. Positions and versions are valid once the
	// transaction has been committed.
	Append(appends ...Append) ([]Outcome, error)
	// Read returns events of a stream as the transaction sees it, its own appends
	// included. Its errors are those of [Reader.Read] and poison nothing; a poisoned
	// transaction answers with what has poisoned it. Until the first append others may
	// write between two readings: the versions that an append expects decide.
	Read(stream StreamID, options ReadOptions) ([]Recorded, error)
}
