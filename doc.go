// Package stele runs an event-sourced system: aggregates as persistent actors on
// a journal.
//
//	journal, err := sqlite.Open(ctx, sqlite.Config{Path: "bank.db"})
//	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts}})
//	balance, err := bank.Withdraw.Ask(ctx, node, "ann", &bankpb.Withdraw{Cents: 30})
//	err = node.Stop(ctx)
//
// A node tells how it is: [Node.Ready] answers a readiness probe, [Node.Health] says what
// is wrong with which part. [Check] holds a build to what the journal holds before it
// goes into production; [Start] refuses what would lose a part of it.
//
// This package wires the others together and holds no logic. Package actors says
// how aggregates are written, package projections how read models are made of their
// events, package persistence what a journal promises.
package stele
