// Package appending stores the appends of a Postgres journal.
//
// A [Committer] stores batches through one connection of its own, several of them under way
// at a time. After a lost connection it finds out which appends were stored. The functions
// [EncodeOne] and [DecodeOutcome] are for an append in a transaction on another connection.
//
// The files, from what is asked for to what is sent: committer.go has the batches and their
// order, flight.go a batch under way and what follows from each answer, lean.go and single.go
// the two short ways to store, encode.go the arguments of the functions in the server, link.go
// the connection.
//
// The package knows the functions that append, and nothing about reading. What it needs of
// its journal is a [Host].
package appending
