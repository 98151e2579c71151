package bank

import (
	"errors"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/examples/bank/bankpb"
)

// The contracts of a transfer.
var (
	Transfer     = actors.NewCommand[*bankpb.Transfer, *bankpb.TransferStatus]("transfer")
	Expire       = actors.NewCommand[*bankpb.Expire, *bankpb.TransferStatus]("transfer")
	ShowTransfer = actors.NewCommand[*bankpb.ShowTransfer, *bankpb.TransferStatus]("transfer")
)

// What a transfer says no to.
var (
	ErrStarted    = errors.New("the transfer was started already")
	ErrNoTransfer = errors.New("there is no such transfer")
)

// Deadline is how long a transfer may wait for the money of the payer.
const Deadline = time.Hour

// The stages of a transfer. It ends completed or failed.
const (
	Started   = "started"   // the payer is asked for the money
	Expired   = "expired"   // that took too long; should the money come it goes back
	Debited   = "debited"   // the money is on its way to the payee
	Refunding = "refunding" // and, not being taken there, on its way back
	Completed = "completed"
	Failed    = "failed"
)

// Moving is the state of a transfer: a process manager, that is an aggregate which
// also sends commands.
type Moving struct {
	from, to      string
	cents         int64
	stage, reason string
}

// Transfers binds the contracts, and the outcomes of what a transfer sends.
var Transfers = actors.Define("transfer",
	actors.Handle(Transfer, (*Moving).start),
	actors.Handle(Expire, (*Moving).expire),
	actors.Handle(ShowTransfer, (*Moving).show),
	actors.Result(Withdraw, (*Moving).withdrew),
	actors.Result(Deposit, (*Moving).deposited),
	actors.On((*Moving).started),
	actors.On(func(m *Moving, _ *bankpb.TransferExpired) { m.stage = Expired }),
	actors.On(func(m *Moving, _ *bankpb.TransferDebited) { m.stage = Debited }),
	actors.On(func(m *Moving, e *bankpb.TransferRefunding) { m.stage, m.reason = Refunding, e.Reason }),
	actors.On(func(m *Moving, _ *bankpb.TransferCompleted) { m.stage = Completed }),
	actors.On(func(m *Moving, e *bankpb.TransferFailed) { m.stage, m.reason = Failed, e.Reason }),
)

func (m *Moving) start(tx *actors.Tx, c *bankpb.Transfer) (*bankpb.TransferStatus, error) {
	switch {
	case m.stage != "":
		return nil, ErrStarted
	case c.Cents <= 0:
		return nil, ErrAmount
	}
	tx.Raise(&bankpb.TransferStarted{From: c.From, To: c.To, Cents: c.Cents})
	Withdraw.Send(tx, m.from, &bankpb.Withdraw{Cents: m.cents})
	Expire.SendAfter(tx, Deadline, tx.ID, &bankpb.Expire{}, actors.Key("deadline"))
	return m.status(), nil
}

// expire comes when the deadline has not been cancelled. Whether the payer has paid
// is not known then, so that the transfer cannot fail before it has heard of the payer.
func (m *Moving) expire(tx *actors.Tx, _ *bankpb.Expire) (*bankpb.TransferStatus, error) {
	if m.stage == Started {
		tx.Raise(&bankpb.TransferExpired{})
	}
	return m.status(), nil
}

func (m *Moving) withdrew(tx *actors.Tx, _ *bankpb.Balance, err error) error {
	tx.Cancel("deadline")
	switch {
	case err != nil:
		tx.Raise(&bankpb.TransferFailed{Reason: err.Error()})
	case m.stage == Expired:
		m.refund(tx, "the payer was too late")
	default:
		tx.Raise(&bankpb.TransferDebited{})
		Deposit.Send(tx, m.to, &bankpb.Deposit{Cents: m.cents})
	}
	return nil
}

func (m *Moving) deposited(tx *actors.Tx, _ *bankpb.Balance, err error) error {
	switch {
	case m.stage == Refunding && err != nil:
		return err // the payer is gone; this needs a person, and comes again until then
	case m.stage == Refunding:
		tx.Raise(&bankpb.TransferFailed{Reason: m.reason})
	case err != nil:
		m.refund(tx, err.Error())
	default:
		tx.Raise(&bankpb.TransferCompleted{})
	}
	return nil
}

// refund takes back what has been done: the compensation.
func (m *Moving) refund(tx *actors.Tx, reason string) {
	tx.Raise(&bankpb.TransferRefunding{Reason: reason})
	Deposit.Send(tx, m.from, &bankpb.Deposit{Cents: m.cents})
}

func (m *Moving) show(*actors.Tx, *bankpb.ShowTransfer) (*bankpb.TransferStatus, error) {
	if m.stage == "" {
		return nil, ErrNoTransfer
	}
	return m.status(), nil
}

func (m *Moving) status() *bankpb.TransferStatus {
	return &bankpb.TransferStatus{Stage: m.stage, Reason: m.reason}
}

func (m *Moving) started(e *bankpb.TransferStarted) {
	m.from, m.to, m.cents, m.stage = e.From, e.To, e.Cents, Started
}
