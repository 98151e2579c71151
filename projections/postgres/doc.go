// Package postgres keeps read models and the checkpoints of their projections in
// one PostgreSQL database, which may be another one than the journal's.
//
//	target, err := postgres.Open(ctx, postgres.Config{Pool: pool, Migrate: true})
//	projection := Balances.Into(target)                        // handlers take pgx.Tx
//	projection := Totals.Into(postgres.Batched(target))        // handlers take *pgx.Batch
//
// Handlers write through the transaction that saves the checkpoint, so each event
// has its effect exactly once. [Batched] sends what the handlers of a page have
// queued in one go, which is several times faster than a round trip for each event.
//
// A read model's tables belong to the program: Setup makes them. Their names should
// carry the version, so that two versions can stand side by side.
//
// [Inline] applies events in the transaction that appends them, for what must never
// be behind, such as names that may be taken once. Its comment says what it costs.
//
// The package knows no journal but by what it asks of one.
package postgres
