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
// A definition is generic in what its handlers write to, and [Definition.Into] binds it
// to a target of that type. The target decides how often an event has its effect:
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
// A [Runner] runs projections side by side on one journal, which it reads once for all.
// Each has workers, one goroutine each, that apply page after page: the handlers'
// statements and the new checkpoint are one transaction. The checkpoint carries the
// worker's epoch, and a take-over raises it; so only one of two workers that both believe
// to be the owner can commit: the epoch is a fencing token, and no clock or lease
// decides. Events without a handler move the checkpoint too.
//
// Several processes may run the same projections, as in a consumer group. The first has a
// part and keeps it; the others wait and say so. A waiting one takes over when the owner
// ends, when it has failed (each process tries once), or when it has given no sign of
// life for [Config.TakeOverAfter] by the clock of the waiting one.
//
// # When something fails
//
// A projection waits for a target or a journal that is away. An event whose handler
// returns an error or panics is tried again, alone; then [OnFailure] decides: Stop, Park
// the event with all that follow in its lane (as in a dead letter queue), or Skip it.
// [Runner.Info] says the cause, and [Runner.Health] turns red when nothing moves.
//
// # Versions
//
// A definition with a higher version is built beside the one that readers use, and
// meanwhile emits nothing and calls nobody. [Runner.Switch] then lets it take over at one
// place in the sequence. [Runner.Reset] is the short way, during which readers see an
// incomplete model.
//
// # In the append
//
// A read model that must never be behind, such as a list of names that may be taken only
// once, is updated in the transaction of the append. Inline of the target packages makes
// a journal that does this; appends become slower. [Definition.Inline] is for
// transactions of your own.
//
// The package knows no database and no aggregate.
package projections
