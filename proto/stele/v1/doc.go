// Package stelev1 holds the messages that stele itself stores, such as the headers of
// events. Package actors writes them, and journals store them without reading them.
//
//	headers := &stelev1.Headers{Command: "bank.v1.Withdraw", Actor: "ann"}
//	data, err := proto.Marshal(headers)
//
// `make generate` makes everything in this package except this comment. The package
// imports nothing of stele.
package stelev1
