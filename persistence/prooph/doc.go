// Package prooph imports the events of prooph's event store, version 7, from the
// Postgres tables of pdo-event-store into a journal.
//
//	config := prooph.Config{URL: "postgres://…", Split: true}
//	report, err := prooph.Check(ctx, config)             // reads all of it and stores nothing
//	config.Policies = prooph.Policies{prooph.Hole: prooph.Mend}
//	report, err = prooph.Import(ctx, journal, config)
//
// Ids, times, names, payloads (as JSON) and metadata are kept, and the order of
// the rows of each table. Versions are those that the metadata claims as
// "_aggregate_version" where that counts the events of the stream, which it does in
// tables by the aggregate-stream strategy and in single-stream tables that are
// split; elsewhere the order of the rows is the version. Rows that
// the rules of a journal do not allow are found, counted, and left out or mended as the
// policies say; without a policy the import ends there.
//
// Between tables there is no order in prooph but the clock of the writers. Events
// are merged by it: next comes the table whose next row has the least created_at,
// the one created first when they are equal. A row whose time lies before that of
// the row before it comes right behind it. So the same tables always give the same
// sequence.
//
// All is read in one transaction, read-only and of one moment, page by page. Memory
// holds some 32 MiB of rows, one row of each table when there are very many, and
// about 200 bytes for each stream.
//
// An import that ended early is taken up by running it again with the same
// configuration: what the journal has already is passed over. So a second run also
// fetches what was written since the first. The last one needs the writers stopped:
// a row that commits late may lie before one that was imported, which where rows
// are counted is a conflict.
//
// The package writes through [persistence.Importer] and knows no journal. It does
// not change the tables, and does not look at prooph's projections and snapshots:
// they are derived.
package prooph
