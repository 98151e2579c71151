// Package actors runs aggregates as persistent actors. Each live aggregate is
// one actor that decides its commands one after the other on state in memory,
// appends the events through a journal and answers when they are durable.
//
// A contract says what may be asked and what comes back. It is a value apart
// from the domain, so that clients can import it alone:
//
//	var Withdraw = actors.NewCommand[*bankpb.Withdraw, *bankpb.Balance]("account")
//
// A definition binds contracts to the methods of a plain state type:
//
//	var Accounts = actors.Define("account",
//		actors.Handle(Withdraw, (*Account).withdraw),
//		actors.On((*Account).withdrawn),
//	)
//
//	func (a *Account) withdraw(tx *actors.Tx, c *bankpb.Withdraw) (*bankpb.Balance, error) {
//		if a.cents < c.Cents {
//			return nil, ErrInsufficient
//		}
//		tx.Raise(&bankpb.Withdrawn{Cents: c.Cents})
//		return &bankpb.Balance{Cents: a.cents}, nil
//	}
//
//	func (a *Account) withdrawn(e *bankpb.Withdrawn) { a.cents -= e.Cents }
//
// A [System] hosts definitions on a journal; package stele starts one:
//
//	balance, err := Withdraw.Ask(ctx, node, "ann", &bankpb.Withdraw{Cents: 30})
//
// Messages are protobuf messages, or plain Go structs with a MessageName method
// (see package codec).
//
// A handler only decides: it reads the state, raises events and returns a reply.
// It does no I/O, reads no clock and rolls no dice other than through [Tx],
// because it may run more than once for one command. State changes in On methods
// only, because that is all that a replay sees.
//
// The package knows no journal, no network and no projection.
package actors
