// Package transfer moves what journals hold: into files and back, into another
// journal, and out of the way.
//
//	summary, err := transfer.Export(ctx, journal, file, transfer.ExportOptions{})
//	summary, err = transfer.Import(ctx, file, other, transfer.ImportOptions{})
//
//	summary, err = transfer.Copy(ctx, journal, other, transfer.CopyOptions{})
//	report, err := transfer.Verify(ctx, journal, other, transfer.Choice{})
//
//	sessions := transfer.Choice{Categories: []string{"session"}}
//	plan, err := transfer.Retain(ctx, journal, transfer.RetainOptions{Choice: sessions, OlderThan: year, Unfolded: true, Archive: file})
//
// # Files
//
// A file has one line of JSON for each thing, in one of two forms. [NDJSON] is the
// journal's own and easy to read; [CloudEvents] is the structured mode of CloudEvents
// 1.0, for programs that know nothing of journals. Both lose nothing: what is
// imported from a file and exported again gives the same bytes, but for the id of
// the journal in the first line.
//
// A file begins with a header and ends with a line that counts what stands between
// and has its SHA-256, so that a file that was cut is noticed. In between stand
// events in the order of their positions, before each the description of its payload
// when it is the first to need it, and behind them what is known of streams beyond
// their events: truncations, metadata, streams that are empty or deleted. Streams of
// which there is nothing to know have no line. Behind them stands what programs have noted
// beside the events, which a start compares with: what they know of their kinds, and which
// commands were sent. A file may go on with another
// header: exports can be continued in the same one.
//
// An import reads strictly: a line that is too long, has a field twice, a field
// that is not known or a value that no journal can have stored ends the import with
// a [*LineError], and nothing of it is stored. What stands there already is passed
// over, so an import that was interrupted is repeated.
//
// # What is not moved
//
// Snapshots, which are a cache, and checkpoints, which belong to one journal.
//
// The package knows no journal; those to import into or to copy to are a
// [persistence.Importer].
package transfer
