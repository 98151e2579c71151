package hooks

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
)

// Config says what a [Journal] stands in front of.
type Config struct {
	// Journal appends and reads. It is required, and is closed with the [Journal].
	Journal persistence.Journal
	// Logger takes what cannot be told to a caller any more: hooks that do not
	// return after an append or a reading. The default is slog.Default().
	Logger *slog.Logger
}

// Journal is a journal with hooks. Use [New]. It is safe for concurrent use.
//
// It is a [persistence.Front]: ask [persistence.As] what it can do. A call that the
// journal behind does not support fails with [*persistence.InvalidError].
type Journal struct {
	persistence.Journal
	logger     *slog.Logger
	submitter  persistence.Submitter  // nil when the journal cannot
	pages      persistence.PageReader // likewise
	transactor persistence.Transactor // likewise

	hooks atomic.Pointer[registry]
	mu    sync.Mutex // orders those who change hooks
}

var (
	_ persistence.Front      = (*Journal)(nil)
	_ persistence.Submitter  = (*Journal)(nil)
	_ persistence.PageReader = (*Journal)(nil)
	_ persistence.Transactor = (*Journal)(nil)
)

// registry holds the hooks, in order. It never changes.
type registry struct{ all, appending, reading []*Hook }

// New returns a journal without hooks.
func New(config Config) *Journal {
	j := &Journal{Journal: config.Journal, logger: usercode.Logger(config.Logger)}
	j.submitter, _ = persistence.As[persistence.Submitter](config.Journal)
	j.pages, _ = persistence.As[persistence.PageReader](config.Journal)
	j.transactor, _ = persistence.As[persistence.Transactor](config.Journal)
	j.hooks.Store(&registry{})
	return j
}

// Unwrap fulfils [persistence.Front].
func (j *Journal) Unwrap() persistence.Journal { return j.Journal }

// Add puts a hook inside of those that are there, and returns how to remove it.
// Both work while the journal is in use: what has begun ends with the hooks that
// it has begun with. Removing twice does nothing.
func (j *Journal) Add(hook Hook) (remove func()) {
	j.change(func(hooks []*Hook) []*Hook { return append(hooks, &hook) })
	return func() {
		j.change(func(hooks []*Hook) []*Hook {
			return slices.DeleteFunc(hooks, func(other *Hook) bool { return other == &hook })
		})
	}
}

func (j *Journal) change(change func([]*Hook) []*Hook) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var next registry
	next.all = change(slices.Clone(j.hooks.Load().all))
	for _, hook := range next.all {
		if hook.appends() {
			next.appending = append(next.appending, hook)
		}
		if hook.reads() {
			next.reading = append(next.reading, hook)
		}
	}
	j.hooks.Store(&next)
}

// didNotReturn says so of a hook.
func didNotReturn(hook *Hook, ended error) error { return fmt.Errorf("hook %q %w", hook.Name, ended) }

// call is one of a function of a hook that can change nothing any more.
type call struct {
	hook *Hook
	make func()
}

// tell makes the calls that follow a change of a stream.
func (j *Journal) tell(stream persistence.StreamID, calls []call) {
	usercode.Each(len(calls), func(i int) { calls[i].make() }, func(i int, ended error) {
		j.logger.Error("hook did not return", "stream", stream, "err", didNotReturn(calls[i].hook, ended))
	})
}

// unable reports an ability that the journal behind does not have.
func unable(ability string) error {
	return &persistence.InvalidError{Field: "journal", Reason: "is no " + ability + ": ask persistence.As first"}
}
