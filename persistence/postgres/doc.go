// Package postgres is the journal on PostgreSQL 14 and later.
//
//	journal, err := postgres.Open(ctx, postgres.Config{URL: url})
//	if errors.Is(err, persistence.ErrTables) { … run postgres.Migrate … }
//	defer journal.Close()
//
// All appends of a process go through one connection. The appends of many writers form a
// batch, which one call of a function in the server stores in one round trip and one flush,
// while the next batch is on its way. Positions are given under a lock that is held until
// the commit is visible, so their order is that of the commits.
//
// Appends that expect an exact version go the lean way: for each batch the server checks
// two proofs of what this journal has stored before, and looks up only what they do not
// cover. A batch that it refuses is stored append by append.
//
// When several journals append, they release the lock at the commit and flush
// after it, and readers flush what they read before they hand it on: see
// [EarlyRelease].
//
// A lost connection is not an error of the appends that were under way: the journal
// connects again, ends the lost backend, and sends the same batch with the same ids until
// it knows the outcome. An outcome that it cannot find out within Config.ResolveTimeout is
// answered as unknown.
//
// Transactions of the journal have a connection of their own; [Journal.AppendTx]
// stores events in one of the caller's. The server evaluates the simple conditions of a
// filter, so that the bytes of most other events are not sent; the filter itself decides.
//
// Transactions hold all that a statement needs, so a pooler that pools by transaction may
// stand between the program and the server; see Config.Pooler and [Protocol].
//
// A connection string may name several hosts, a primary and its standbys, in any order:
//
//	postgres://app@one,two/bank?sslmode=verify-full
//
// The journal asks for the one that stores events, and looks for it again when its
// connections break. A standby that is promoted takes over within seconds. Whether it has
// all acknowledged events is up to synchronous_standby_names; when it has not, those that
// follow the journal get [*persistence.LostTailError].
//
// A journal remembers facts about its tables, such as the ids of streams. Each statement
// that rests on such a fact proves it. When the tables were emptied or made anew meanwhile,
// the answer is [*persistence.ReplacedError], and the program has to open the journal again.
//
// The journal's sessions set everything that its statements rest on, such as encodings,
// isolation, timeouts and plans, whatever the role, the database or the server have set.
// They respect limits for transactions that are left open, and a database that is read-only.
//
// [Journal.Check] examines the server, the schema, the rights and the events.
//
// The tables are append-only by permission: a program's role needs SELECT on them
// and EXECUTE on the functions that append, nothing else. [RolesSQL] prints the rights of
// all roles. [MigrationSQL] prints what [Migrate] does, and [Validate] compares a schema
// with it.
//
// The package knows nothing of aggregates, projections or nodes.
package postgres
