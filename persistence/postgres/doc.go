// Package postgres is the journal on PostgreSQL 14 and later.
//
//	journal, err := postgres.Open(ctx, postgres.Config{URL: url})
//	if errors.Is(err, persistence.ErrTables) { … run postgres.Migrate … }
//	defer journal.Close()
//
// All appends of a process go through one connection: what many writers submit
// is stored by one call of a function in the server, in one round trip and one
// flush, with a second batch on its way. Positions are given under a lock that is
// held until the commit is visible, so their order is that of the commits.
//
// Appends that expect an exact version go the lean way: the server checks two
// proofs for a batch, of what this journal has stored before, and looks up only what
// they do not cover. What it refuses is settled one by one.
//
// When several journals append, they release the lock at the commit and flush
// after it, and readers flush what they read before they hand it on: see
// [EarlyRelease].
//
// An append whose connection is lost is not an error: the journal connects
// again, ends the lost backend, and sends the same batch with the same ids until
// it knows the outcome. Only what it cannot find out within
// Config.ResolveTimeout is answered as unknown.
//
// Transactions of the journal have a connection of their own; [Journal.AppendTx]
// stores events in one of the caller's. The server looks at what is simple in a
// filter and leaves the bytes of other events where they are; the filter decides.
//
// Transactions hold all that a statement needs, so a pooler that pools by
// transaction may stand between; see Config.Pooler and [Protocol].
//
// A connection string may name several hosts, a primary and its standbys, in any order:
//
//	postgres://app@one,two/bank?sslmode=verify-full
//
// The journal asks for the one that stores events, and looks for it again when its
// connections break. A standby that is promoted takes over within seconds; whether it
// has all that was acknowledged is up to synchronous_standby_names, and who follows the
// journal is told when it has not.
//
// What a journal remembers of its tables, such as ids of streams, is proved by each
// statement that rests on it. When they were emptied or made anew meanwhile, the answer
// is [*persistence.ReplacedError], and the program has to open the journal again.
//
// The journal's sessions set what statements rest on, whatever the role, the database
// or the server have set: encodings, isolation, timeouts, plans. Limits for transactions
// that are left open, and a database that is read-only, are respected.
//
// [Journal.Check] examines the server, the schema, the rights and the events.
//
// The tables are append-only by permission: a program's role needs SELECT on them
// and EXECUTE on the functions that append, nothing else. [RolesSQL] prints the
// rights of all roles, [MigrationSQL] what [Migrate] does, and [Validate] compares a
// schema with it.
//
// The package knows nothing of aggregates, projections or nodes.
package postgres
