// Package store opens the places that journals are measured in: memory, SQLite, Postgres.
// Each store also has the ceilings of its journal, written by hand in a file of that name:
// the fastest ways to bring the same rows into the same tables without our code ([Rival]),
// and to read them ([Scanner]).
//
//	on, err := store.All()[0].Open(ctx, store.Settings{})
//	…
//	journal, err := on.Open(ctx, "sample")
//
// An ability that only some stores have is an interface here, which scenarios ask for.
package store
