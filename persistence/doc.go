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
// Versions count inside a stream, positions count over the whole journal. The journal
// assigns both, never a client. An append names the version that it expects, so that only
// one of two writers that saw the same version succeeds (optimistic concurrency).
//
// Journals are subpackages (memory, sqlite, postgres), and package journaltest tests
// them. Authors of journals also use package journalkit. This package imports no journal
// and no actor code.
package persistence
