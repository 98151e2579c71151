// Package sqlite is the journal in one file, for programs that run on one
// machine. It needs no server and no cgo.
//
//	journal, err := sqlite.Open(ctx, sqlite.Config{Path: "bank.db"})
//	if err != nil { … }
//	defer journal.Close()
//
// Open creates the file when it is missing and brings its tables up to date.
// Beside it stand "bank.db-wal" and "bank.db-shm", which belong to it and must be
// moved or copied with it while it is open, and "bank.db.lock".
//
// # One process
//
// One process at a time works with a file. Open holds a lock on "bank.db.lock"
// until Close or until the process ends, however it ends; another Open of the
// same file meanwhile, in this process or another, is refused with a
// [*persistence.UnavailableError] that names the process. Other programs may read
// the file with SQLite's own tools, and should not stay inside one transaction
// for long: the "-wal" file grows until they leave.
//
// # Durability
//
// An acknowledged append has been flushed to the disk (PRAGMA synchronous=FULL,
// and fullfsync on macOS, where a plain flush ends in the drive's cache).
// [Config.Relaxed] gives that up for speed. The file must lie on a local disk:
// SQLite's write-ahead log needs shared memory, which network file systems do not
// have.
//
// # Speed
//
// Appends of many writers share one transaction (group commit), so the flush is
// paid once for all that wait. Readers never block writers.
//
// The package knows nothing of aggregates, projections or other journals.
package sqlite
