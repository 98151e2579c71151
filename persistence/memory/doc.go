// Package memory is a journal that lives in the memory of one process: for
// tests, for examples, and for measuring everything around a journal.
//
//	journal := new(memory.Journal)
//	defer journal.Close()
//
// It keeps every promise of [persistence.Journal] but one: it is not durable. Its events
// are gone with the process or with Close. It cannot be opened again, so the conformance
// suite runs it without the cases of crash and reopen. All else is the same as in the
// journals that write to disk: refusals, limits, event ids, paging, and the order of the
// global sequence.
//
// A transaction keeps other writers waiting, not readers: it writes behind the end of the
// log that they know. Appends that are submitted meanwhile are taken, and answered when
// the transaction ends.
//
// It starts no goroutine and knows the time through [Config.Now] alone, so whole
// systems on it run in the virtual time of testing/synctest.
//
// The package does not know the other journals and does not persist, evict or
// bound what it holds.
package memory
