// Package dedupe recognises commands that an aggregate has done before.
//
// [Memory] holds the newest commands of an aggregate, within a [Retention], and knows how
// far back it is complete. [History] finds commands further back in the stream: it is
// built from [Part] after Part of the stream, only as far as somebody asks.
//
//	memory = memory.Add(command, keep)
//	version, found := memory.Find(id)
//
// The package knows where the outcome of a command is stored, and not what it was; it
// knows nothing of actors.
package dedupe
