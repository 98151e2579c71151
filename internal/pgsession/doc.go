// Package pgsession makes sessions of PostgreSQL in which a statement means the same
// on every server, and sorts the errors of such sessions in one way for all packages
// that talk to Postgres.
//
//	config, err := pgx.ParseConfig(url)
//	pgsession.Prepare(config, pgsession.Options{Server: pgsession.Writable, Planner: true})
//	conn, err := pgx.ConnectConfig(ctx, config) // err: see Unreachable
//
// A role, a database and a server have settings of their own, for encodings, the forms of
// times and bytes, isolation, timeouts and plans. [Prepare] puts every setting that our
// statements rest on into the startup message, where the session's own value wins, and lets
// each new session prove that it has them. A pooler that pools by transaction accepts only a
// few of them; a session through a pooler has only the proof. [Begin] is for transactions in
// sessions that belong to a caller.
//
// The package knows no table and no statement of its users.
package pgsession
