package postgres

import "context"

// Crash ends the journal as the death of its process would.
func (j *Journal) Crash() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	j.close(ctx)
}

// URL is where the journal is.
func (j *Journal) URL() string { return j.config.Pool.ConnString() }
