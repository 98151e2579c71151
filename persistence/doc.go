// Package persistence defines how events are stored: the vocabulary (stream,
// event, version, position, expected version) and the [Journal] contract that
// every journal fulfils.
//
//	outcomes, err := journal.Append(ctx, persistence.Append{
//		Stream:   "account-ann",
//		Expected: persistence.NoStream,
//		Events:   []persistence.Event{{Type: "opened", Payload: payload}},
//	})
//	for recorded, err := range journal.Read(ctx, "account-ann", persistence.ReadOptions{}) { … }
//
// Versions count inside a stream, positions count over the whole journal. Both
// are assigned by the journal, never by a client. An append names the version
// it expects, so of two writers that saw the same version only one succeeds.
//
// Journals live in subpackages (memory, sqlite, postgres) and prove themselves
// with package journaltest. This package imports no journal and no actor code.
package persistence
