// Package projections derives read models from events, each event once and in order.
//
//	var Balances = projections.Define("balances", 1,
//		projections.On(func(ctx context.Context, tx pgx.Tx, e projections.Event[*bankpb.Deposited]) error {
//			_, err := tx.Exec(ctx, "UPDATE balance SET cents = cents + $2 WHERE account = $1", e.Stream, e.Data.Cents)
//			return err
//		}),
//		projections.Setup(createTable), projections.Truncate(truncateTable), projections.Drop(dropTable),
//	).With(projections.FromKinds("account"), projections.Workers(4))
//
//	runner, err := projections.New(projections.Config{Journal: journal, Projections: []projections.Projection{Balances.Into(target)}})
//	err = runner.Run(ctx)
//
// A definition is generic in what its handlers write to, and [Definition.Into] binds
// it to a target of that type. The target decides what is promised:
//
//	pgx.Tx, *sql.Tx    packages postgres and sqlite below this one: the read model and
//	                   the checkpoint are one transaction, so each event has its effect
//	                   exactly once
//	*State[S]          [Persist]: a value in one row with the checkpoint, exactly once,
//	                   from which events can be emitted
//	*M                 [InMemory]: a model that is made again at each start
//	anything           [External]: at least once, with a key that repetitions share
//
// # Running
//
// A [Runner] runs projections side by side on one journal, which it reads once for
// all. Each has workers, one goroutine each, that apply page after page: the
// handlers' statements and the new checkpoint are one transaction. The checkpoint
// carries the worker's epoch, and a take-over raises it; so of two workers that both
// think that they are the owner only one can commit. There is no lease and no clock in
// that. How far a projection has come never depends on what it chooses: events without
// a handler advance it too.
//
// Several processes may run the same projections. One has a part and keeps it, the
// others wait and say so. They take over when the owner ends, when it has failed, once
// each, and when it has given no sign of life for [Config.TakeOverAfter], which a waiter
// measures by its own clock.
//
// # When something fails
//
// A target or a journal that is away is waited for. A handler that returns an error
// or panics is tried again, alone, and then [OnFailure] decides: Stop, Park with all
// that follows in its lane, or Skip. What failed is in [Runner.Info], and
// [Runner.Health] turns red when nothing moves.
//
// # Versions
//
// A definition with a higher version is built beside the one that readers use,
// without effects on others, and takes over by [Runner.Switch] at one place in the
// sequence. [Runner.Reset] is the short way, during which readers see a part.
//
// # In the append
//
// What must never be behind, such as names that may be taken once, is applied in the
// transaction that appends: Inline of the target packages makes a journal that does
// so, at a price. [Definition.Inline] is for transactions of one's own.
//
// The package knows no database and no aggregate.
package projections
