// Package ledgerpb holds the messages of gitledger: commands, replies and events
// of a file and of the ledger that counts the commits.
package ledgerpb
