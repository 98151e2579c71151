// Package bankpb holds the messages of the bank: commands, their reply, events.
//
//	&bankpb.Withdraw{Cents: 30} // asked
//	&bankpb.Withdrawn{Cents: 30} // happened
//
// It is generated from bank.proto and knows nothing of what the bank does with
// the messages.
package bankpb
