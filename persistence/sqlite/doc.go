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
// # One journal
//
// One process at a time opens a file as a journal. Open holds a lock on "bank.db.lock"
// until Close or until the process ends, however it ends; another Open of the
// same file meanwhile, in this process or another, is refused with a
// [*persistence.UnavailableError] that names the process. With [Config.ReadOnly] a
// journal is opened beside it to be read: checked, exported, looked at. Other
// connections may read the file with SQLite's own tools, and should not stay inside one transaction
// for long: the "-wal" file grows until they leave.
//
// # What others do to the file
//
// Before and after each flush the journal looks whether the names of its files still
// lead to what it has open. When the file was deleted, moved or replaced, its log was
// taken away, a link leads elsewhere, or another program has written over the file or
// made the tables others, nothing is acknowledged any more: appends and changes are
// refused with [*persistence.ReplacedError], which says what to do. A file that was
// moved may be put back; the journal then goes on.
//
// # Backups
//
// A backup is made beside the program that has the journal open:
//
//	sqlite3 bank.db "VACUUM INTO 'backup.db'"
//
// The copy is the journal as it was at one moment, with all that was acknowledged before
// it was begun. It is one file, which opens as a journal; [Journal.Check] with Full tells
// whether it is sound. SQLite does not flush the copy: do that, or move it to another
// machine, before it is relied on. The "-wal" file grows until the copy is done. Through
// SQLite's backup API a copy is the same when it is made in one step; the command .backup
// of sqlite3 makes it in many and begins anew whenever somebody has appended in between, so it
// does not end under load. A copy of "bank.db" by the tools of the file system, without
// its "-wal" and at the same moment, lacks what is newest or is damaged.
//
// Restore a backup while no program has the journal open, and remove the "-wal" and
// "-shm" files beside the one that is replaced. A file has one name: Open refuses one
// with hard links, whose log stands beside one of its names only, and one that is
// mounted by itself into a container, where its log would stay behind.
//
// # Tables of the program
//
// A program may keep tables of its own in the file, by a connection of its own, and
// change them in one transaction with events: see [Journal.AppendTx]. The journal's tables
// are written to by this package alone. One connection writes at a time, so whoever
// else does holds up the journal.
//
// # Filters
//
// Tags have an index, so the events of a few tags are found in a sequence of any
// length. Positions and versions say where to look at all. Types, streams,
// categories, times and ids are compared before an event is made of a row, patterns
// and metadata after it. Whatever is found, the filter decides.
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
// paid once for all that wait. [Journal.Transact] and the changes of streams as wholes have one
// each, between two batches. Readers never block writers.
//
// The package knows nothing of aggregates, projections or other journals.
package sqlite
