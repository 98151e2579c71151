// Package pgsession makes sessions of PostgreSQL in which a statement means the same
// on every server, and sorts the errors of such sessions in one way for all packages
// that talk to Postgres.
//
//	config, err := pgx.ParseConfig(url)
//	pgsession.Prepare(config, pgsession.Options{Server: pgsession.Writable, Planner: true})
//	conn, err := pgx.ConnectConfig(ctx, config) // err: see Unreachable
//
// A role, a database and a server have settings of their own, for encodings, the forms
// of times and bytes, isolation, timeouts, plans. [Prepare] names every one that our
// statements rest on in the startup message, where the session's own value wins, and
// has each new session prove that it took them. A pooler that pools by transaction
// takes only a few of them; through one the session is only proved. [Begin] is for
// transactions in sessions that belong to a caller.
//
// The package knows no table and no statement of its users.
package pgsession
