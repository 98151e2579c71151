// Package journalkit is for authors of journals: what every journal needs and no program
// that uses one. With package persistence, which is the contract, and package journaltest,
// which is its suite, it is all that a journal needs of stele.
//
// A journal is a type with the methods of [persistence.Journal], and of the abilities that
// its store has, which stand as interfaces in package persistence. It calls
// [persistence.Append.Check] first and then [GiveIDs], so that all journals refuse the same
// appends and can recognise one that was sent twice. It answers with the errors of package
// persistence, with [Closed] once it is closed, and with [CallerLeft] when a context ends a
// call. A [Head] tells readers that wait of new events. An import begins with [CheckImport]
// or [CheckImportStreams], and a check ends with [CheckEvents] and [StreamsFinding].
// The journal is finished when the suite passes on it with all its abilities, also under the
// race detector.
package journalkit
