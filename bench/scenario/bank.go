package scenario

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/stele-es/stele"
	"github.com/stele-es/stele/bench/load"
	"github.com/stele-es/stele/bench/measure"
	"github.com/stele-es/stele/bench/store"
	"github.com/stele-es/stele/examples/bank/bank"
	"github.com/stele-es/stele/examples/bank/bankpb"
	"github.com/stele-es/stele/persistence"
	stelev1 "github.com/stele-es/stele/proto/stele/v1"
)

// withNode starts a node on a journal and stops it after use.
func withNode(ctx context.Context, s *session, j store.Journal, use func(*stele.Node) error) (err error) {
	node, err := stele.Start(ctx, stele.Config{
		Journal: j, Aggregates: stele.Aggregates{bank.Accounts},
		// Nothing leaves memory while it is measured, and a machine that stands still
		// for a while spoils a figure, not the run.
		Idle: time.Hour, MaxActive: 2 * max(s.scale.idle, s.scale.many), AskTimeout: 5 * time.Minute,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, node.Stop(context.WithoutCancel(ctx))) }()
	return use(node)
}

// withAccounts opens accounts on a fresh journal and hands them over.
func withAccounts(ctx context.Context, s *session, count int, use func(store.Journal, *stele.Node, []string) error) error {
	return fresh(ctx, s, func(j store.Journal) error {
		return withNode(ctx, s, j, func(node *stele.Node) error {
			ids := accountIDs(count)
			_, err := load.Once(s.scale.callers, count, func(i int) error {
				_, err := bank.Open.Ask(ctx, node, ids[i], &bankpb.Open{Owner: ids[i]})
				return err
			})
			if err != nil {
				return err
			}
			return use(j, node, ids)
		})
	})
}

func accountIDs(count int) []string {
	ids := make([]string, count)
	for i := range ids {
		ids[i] = fmt.Sprint(i)
	}
	return ids
}

func deposit(ctx context.Context, node *stele.Node, id string) error {
	_, err := bank.Deposit.Ask(ctx, node, id, &bankpb.Deposit{Cents: 1})
	return err
}

// deposits lets all callers deposit for a time, each going round the accounts.
func deposits(ctx context.Context, s *session, accounts int) (l load.Result, used measure.Usage, err error) {
	err = withAccounts(ctx, s, accounts, func(_ store.Journal, node *stele.Node, ids []string) error {
		before := measure.UsageNow()
		l, err = load.ClosedLoop(s.scale.callers, s.scale.window, func(caller, i int) error {
			return deposit(ctx, node, ids[(caller+i*s.scale.callers)%len(ids)])
		})
		used = measure.UsageNow().Minus(before)
		return err
	})
	return l, used, err
}

// account is the next event of an account that is opened and then paid into.
func account(l *load.Lane) persistence.Event {
	if l.Version == 0 {
		return bankEvent(&bankpb.Opened{Owner: string(l.Stream)})
	}
	return deposited(l)
}

func deposited(*load.Lane) persistence.Event { return bankEvent(&bankpb.Deposited{Cents: 1}) }

// bankEvent is an event as the runtime stores it, with headers of the usual size.
func bankEvent(message proto.Message) persistence.Event {
	payload, _ := proto.Marshal(message) // cannot fail: no field is required
	return persistence.Event{Type: string(message.ProtoReflect().Descriptor().FullName()), Payload: payload, Headers: usualHeaders}
}

// usualHeaders are those of a deposit.
var usualHeaders, _ = proto.Marshal(&stelev1.Headers{ // cannot fail: the text is valid
	CommandId: make([]byte, 16), Command: "bank.v1.Deposit", CorrelationId: make([]byte, 16), Reply: make([]byte, 2),
})
