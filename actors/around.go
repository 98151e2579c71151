package actors

import (
	"context"
	"log/slog"
	"time"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Asked is a command on its way to an aggregate, as what stands around it sees it.
type Asked struct {
	// Kind and ID say which aggregate is asked, Command the stored name of what.
	Kind, ID, Command string
	// CommandID is the id under which it is asked.
	CommandID persistence.CommandID
	// Message is the command. It must not be changed.
	Message any
	// Sent says that an aggregate sent the command and the runtime delivers it: it was
	// let in when its sender was asked.
	Sent bool
}

// Around stands around commands: it may refuse one, see what became of it, and give
// next another context, with metadata or a deadline of its own. See [Config.Around].
//
// The caller gets its result. Refusing is returning an error without calling next; then
// nothing was done. The refusal of a command that an aggregate sent is remembered by the
// one it was for, like its own rejections, so that it is not let in when it is delivered
// again; an error of type [*persistence.Error] is no refusal there: the command is
// delivered again later. An error that tells of something else, such as a context that
// ended or another command whose outcome is not known, comes to the caller as
// [persistence.ErrUnavailable]. After next the command has happened, and an error that
// would say otherwise is wrapped: in [persistence.ErrDone] when the command was done.
// Next is called at most once, since a second call would be a second command.
//
// It runs on the caller's goroutine, before the command waits for its aggregate. It
// may ask other aggregates.
type Around func(ctx context.Context, asked Asked, next func(context.Context) (reply any, err error)) (reply any, err error)

// Guard refuses the commands for which check returns an error, before they reach
// their aggregate: to authorise and to validate. The caller gets the error as it is,
// so it should say no more than the caller may know.
func Guard(check func(ctx context.Context, asked Asked) error) Around {
	return func(ctx context.Context, asked Asked, next func(context.Context) (any, error)) (any, error) {
		if err := check(ctx, asked); err != nil {
			return nil, err
		}
		return next(ctx)
	}
}

// GuardReply keeps replies from callers who may not see them. The command has
// happened all the same, so the error that the caller gets is of kind
// [persistence.ErrDone]: use it for what changes nothing.
func GuardReply(check func(ctx context.Context, asked Asked, reply any) error) Around {
	return func(ctx context.Context, asked Asked, next func(context.Context) (any, error)) (any, error) {
		reply, err := next(ctx)
		if err != nil {
			return nil, err
		}
		if err := check(ctx, asked, reply); err != nil {
			return nil, err
		}
		return reply, nil
	}
}

// LogAround logs every command with its outcome: at level debug, rejections at
// info, and what the runtime could not do at warn. Without a logger it takes slog.Default().
func LogAround(logger *slog.Logger) Around {
	logger = usercode.Logger(logger)
	return func(ctx context.Context, asked Asked, next func(context.Context) (any, error)) (any, error) {
		began := time.Now()
		reply, err := next(ctx)
		level := slog.LevelDebug
		if failed, ok := err.(*persistence.Error); ok && failed.Kind != persistence.ErrRejected { //nolint:errorlint // the outermost is the runtime's
			level = slog.LevelWarn
		} else if err != nil {
			level = slog.LevelInfo
		}
		logger.LogAttrs(ctx, level, "command", slog.String("kind", asked.Kind), slog.String("id", asked.ID),
			slog.String("command", asked.Command), slog.Duration("duration", time.Since(began)), slog.Any("err", err))
		return reply, err
	}
}

// through takes a command through what stands around, the first outermost. It notes the
// context that has come furthest in: who refuses a command knows from there who asked.
func (s *System) through(around []Around, asked Asked, innermost *context.Context, last func(context.Context) (any, error)) func(context.Context) (any, error) {
	if len(around) == 0 {
		return last
	}
	next := s.through(around[1:], asked, innermost, last)
	return func(ctx context.Context) (any, error) {
		*innermost = ctx
		return around[0](ctx, asked, next)
	}
}
