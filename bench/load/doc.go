// Package load makes the load of measurements: loops of callers that ask as fast as they are
// answered ([ClosedLoop]) or at a fixed rate ([OpenLoop]), lanes that append to a journal
// ([Pump]), and the events that are appended ([Rows]). Each load returns a [Result].
//
//	result, err := load.ClosedLoop(512, 3*time.Second, func(caller, i int) error {
//		_, err := bank.Deposit.Ask(ctx, node, ids[caller], &bankpb.Deposit{Cents: 1})
//		return err
//	})
//
// The package knows journals by their contract only, and no ceiling.
package load
