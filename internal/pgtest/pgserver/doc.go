// Package pgserver runs throw-away Postgres servers for tests and for the
// commands of the Makefile.
//
//	server, err := pgserver.Start(ctx)
//	defer server.Stop()
//	connect(server.URL())
//
// A server listens only on a socket in its own directory, so two servers never collide. Its
// data may be lost with the machine, never with a process, unless it is [Durable]. A server
// that is not durable keeps its files in memory where there is room. Faults are real:
// [Server.Kill], [Server.Abort], [Server.Pause], and [SlowFlush] for the disk.
//
// The package finds the server's binaries and installs them where that is safe;
// it does not know what the databases are used for. Tests use package pgtest.
package pgserver
