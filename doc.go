// Package stele runs an event-sourced system: aggregates as persistent actors on
// a journal.
//
//	journal, err := sqlite.Open(ctx, sqlite.Config{Path: "bank.db"})
//	node, err := stele.Start(ctx, stele.Config{Journal: journal, Aggregates: stele.Aggregates{bank.Accounts}})
//	balance, err := bank.Withdraw.Ask(ctx, node, "ann", &bankpb.Withdraw{Cents: 30})
//	err = node.Stop(ctx)
//
// [Node.Ready] answers a readiness probe, and [Node.Health] says what is wrong with which
// part. [Check] compares a build with a journal before the build goes into production;
// [Start] refuses a program that would lose a part of what is stored.
//
// This package wires the others together and holds no logic. Package actors shows how to
// write aggregates, package projections how to make read models of their events, and
// package persistence what a journal promises.
package stele
