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
	// append on, so body should append last, and must not use the journal other
	// than through tx. Errors of the commit itself are those of [Appender.Append]:
	// unavailable when nothing was done, unknown when that is not known.
	Transact(ctx context.Context, body func(ctx context.Context, tx Transaction) error) error
}

// Transaction is what a body of [Transactor.Transact] works with. It ends with
// the body and serves one goroutine.
type Transaction interface {
	// Append stores each append and returns its outcome, or the error that has
	// poisoned the transaction. Positions and versions are valid once the
	// transaction has been committed.
	Append(appends ...Append) ([]Outcome, error)
	// Read returns events of a stream as the transaction sees it, its own appends
	// included.
	Read(stream StreamID, options ReadOptions) ([]Recorded, error)
}
