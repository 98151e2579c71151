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
// A handler only decides: it reads the state, raises events and returns a reply. It does
// no I/O, asks nobody, leaves the command as it is, and takes time and chance only from
// [Tx], because it may run more than once for one command. State changes only in On
// methods, because a replay runs nothing else. The test kit proves that every decision in
// a test comes out the same again, and that a replay gives the same state:
//
//	Withdraw.Given(t, Accounts, &bankpb.Deposited{Cents: 100}).
//		When(&bankpb.Withdraw{Cents: 30}).
//		Then(&bankpb.Withdrawn{Cents: 30}).
//		Reply(&bankpb.Balance{Cents: 70})
//
// Decisions may also be plain functions of state and command, see [Decide].
//
// # Long histories
//
// An aggregate is read from its first event on. With [SnapshotEvery] or
// [SnapshotWhen] the journal keeps its state as well, written behind the replies,
// and reading begins there. A snapshot is never needed: one that does not fit the
// program, or the stream, is passed over.
//
// [Aggregate.StateAt] reads what an aggregate was at a version, a position or a time,
// without touching the live one:
//
//	then, version, err := Accounts.StateAt(ctx, journal, "ann", actors.StateOptions{UntilVersion: 7})
//
// # Around commands
//
// [Config.Around] holds functions that every command passes on its way: [Guard]
// authorises and validates, [LogAround] logs, others trace. [LogCommands] keeps a log
// of all commands of a kind in the journal, the rejected ones too.
//
// # Doing it once
//
// A caller who does not know whether a command was done must be able to ask again.
// With a key, an idempotency key, that is possible any number of times for as long as
// [Config.RememberFor] says, on any node: the command has one effect, and every call
// returns the first reply.
//
//	balance, err := Withdraw.Ask(ctx, node, "ann", &bankpb.Withdraw{Cents: 30}, actors.Once("order-77"))
//
// A command that raises nothing is answered from memory, which may lack the newest events
// of another process; with [Fresh] the state is proven current, see [Command.Ask].
//
// Without a key the system gives the command an id, which stands in the error when
// the outcome is unknown; [Again] resolves it. [ReceiptTo] tells where the reply
// stands in the global sequence, and [Await] waits until projections have come so
// far.
//
// # Sending and waiting
//
// A process manager is an aggregate that also sends commands, with [Command.Send], or
// later, with [Command.SendAfter]. Sent commands are stored in the append of the events
// that the handler raises (an outbox): either all of it happens or nothing. It is
// delivered until it has an outcome, over crashes and restarts, with one effect; [Result]
// hears of each outcome once. To undo something, send another command (a saga).
//
//	func (t *Transfer) withdrew(tx *actors.Tx, _ *bankpb.Balance, err error) error {
//		if err != nil {
//			tx.Raise(&bankpb.TransferFailed{Reason: err.Error()})
//			return nil
//		}
//		tx.Raise(&bankpb.TransferDebited{})
//		Deposit.Send(tx, t.to, &bankpb.Deposit{Cents: t.cents})
//		return nil
//	}
//
// [React] lets aggregates react to what happens to others, who need not know of it:
//
//	actors.React(func(e actors.Event[*bankpb.Closed]) string { return e.Data.Heir }, (*Account).inherit)
//
// At start the system searches the journal for unfinished commands and timers: all of it
// the first time, later only the events after a saved list, which systems keep in a stream
// of their own. It serves commands meanwhile. A command that another system on the journal
// has left unfinished for half a minute is delivered too. At most [Config.MaxPending]
// commands may be unfinished; one that is due in more than a minute costs no more memory
// than its sender's place in the list. Commands that have come due while no system ran are
// delivered the oldest first.
//
// Commands from one aggregate to another arrive in the order in which they were sent. One
// that cannot be delivered yet holds up those behind it, and no others. A Result that fails
// is called again ten times, with growing pauses; then the command is parked, like a dead
// letter: [System.Parked] lists it, [System.Retry] has it tried again. A command that the
// program cannot read is parked at once, and kept for a program that can. [Config.Around]
// also wraps sent commands; its refusal is final.
//
// # What a caller is told
//
// A reply shows nothing but what is durable, and replies of one aggregate come in
// the order of its commands. An error of the handler comes back as it is; what
// shall be recognised outside of the process is made with [NewError] or registered
// with [Rejects]. All other errors are a [*persistence.Error], or a [*BehindError], whose
// kind says what to do:
//
//   - Invalid, NotFound: the program or its input is wrong.
//   - Done: the command was done, and what failed came after it: a projection does not
//     show it yet, see [Await]; a guard keeps the reply back; or the command is repeated
//     and its reply was too large to keep, with [ReasonReplyNotKept].
//   - EventIDReused: the key or the id belongs to another command.
//   - Overloaded: a queue is full: a mailbox, the node, the queue of recoveries; as much
//     is sent and not done as may be; or the command could not be answered in time
//     behind those before it.
//   - Unavailable: nothing was done; RetryAfter says when to try again if that is
//     known. Reason tells a journal that is away from a caller who left, a node
//     that stops, an aggregate in quarantine because its handlers panic.
//   - Conflict: another writer was faster three times, or the version is not the
//     one that [IfVersion] names.
//   - Rejected, with the reason "panic": the handler panicked. The aggregate goes
//     on with the state that its stream says.
//   - Corrupt: what is stored cannot be read here. Nothing is ever skipped.
//   - UnknownOutcome: the command was decided and whether its events are stored is
//     not known; [Again] finds out, unless the events were truncated meanwhile. Or, with
//     [ReasonUnknownCommand], a newer program has to be asked. All other
//     kinds are certain: but for Done, the call has stored nothing.
//
// [persistence.Classify] says of any of them, also of an error of the domain, whether
// the command was done and whether to ask again.
//
// The package knows no journal, no network and no projection. Package actorstest
// starts whole systems for tests.
package actors
