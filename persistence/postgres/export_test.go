package postgres

import "context"

// Crash ends the journal as the death of its process would.
func (j *Journal) Crash() {
	ctx, cancel := context.WithCancel(context.Background()) //nolint:forbidigo // nobody waits for it
	cancel()
	j.close(ctx)
}

// URL is where the journal is.
func (j *Journal) URL() string { return j.config.Pool.ConnString() }

// LockKey is the first key of a schema's order lock.
func LockKey(schema string) int32 { return lockKey(schema) }
