// Package hooks calls functions of yours before, around and after the appends and reads
// of a journal: to add metadata, to refuse, to change, to measure, to tell others.
//
//	hooked := hooks.New(hooks.Config{Journal: journal, Logger: logger})
//	hooked.Add(hooks.Metadata(func(ctx context.Context) persistence.Metadata {
//		return persistence.Metadata{"tenant": persistence.String(tenantOf(ctx))}
//	}))
//	remove := hooked.Add(hooks.Hook{Name: "audit", AfterAppend: audit})
//
// # Order
//
// Hooks lie around the journal like skins, the one added first outermost. An append
// passes the hooks in the order in which they were added: BeforeAppend and then
// AroundAppend of each. Its outcome comes back in the opposite order: through
// AroundAppend and then AfterAppend of each. So the first sees the append as its caller
// gave it and the outcome as its caller gets it. Reading is the same, with the events on
// the way back: two hooks that seal what is written open what is read in the right order.
//
// When a hook refuses, those outside of it hear of the refusal as the outcome. The
// hook itself, those inside and the journal hear nothing.
//
// # What is not hooked
//
// Streams as wholes, snapshots and schemas pass untouched, and so does everything that a
// journal can do beyond the contracts of package persistence. To repeat an append, or to
// answer it without the journal, write a [persistence.Front] instead.
//
// The package knows no journal.
package hooks
