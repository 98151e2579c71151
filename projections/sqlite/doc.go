// Package sqlite keeps read models and the checkpoints of their projections in one
// SQLite file, which is another one than the journal's: a page that is being
// applied would hold up the journal's writer.
//
//	target, err := sqlite.Open(ctx, sqlite.Config{Path: "views.db"})
//	defer target.Close()
//	projection := Balances.Into(target) // handlers take *sql.Tx
//	rows, err := target.DB().QueryContext(ctx, "SELECT …")
//
// Handlers write through the transaction that saves the checkpoint, so each event
// has its effect exactly once. A crash of the machine may lose the newest pages,
// which are then applied again: the file is consistent at every moment, and need not
// be flushed for each page.
//
// Beside the file stands "views.db.runner-…" for each process that runs projections here,
// and is locked by it. When the process is killed the lock goes with it, so that the next one
// takes over at once, and removes the file.
//
// [Inline] applies events in the transaction that appends them, in the journal's own
// file, for what must never be behind.
//
// The package knows no journal but by what it asks of one. It needs no cgo.
package sqlite
