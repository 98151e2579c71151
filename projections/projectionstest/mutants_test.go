package projectionstest

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/tail"
	"github.com/stele-es/stele/projections"
)

func TestMain(m *testing.M) {
	slog.SetDefault(slog.New(slog.DiscardHandler)) // what tests provoke is nobody's trouble
	goleak.VerifyTestMain(m)
}

// table is a target with transactions, in memory: the read model is copied when a
// transaction begins, and put back when it ends badly. A mutant changes one hook.
type table struct {
	projections.Books
	mu   sync.Mutex // protects rows, through whole transactions
	rows map[string]int

	book    func(projections.Book) projections.Book // stands in for the book of a transaction
	noBack  bool                                    // the read model is not rolled back
	apart   bool                                    // the read model is committed before the book
	swallow bool                                    // errors of body are forgotten
	deaf    bool                                    // callers wait beyond their deadlines
}

// Update fulfils [projections.Store].
func (s *table) Update(ctx context.Context, body func(context.Context, projections.Book) error) error {
	if s.deaf {
		ctx = context.WithoutCancel(ctx)
	}
	err := s.Books.Update(ctx, func(ctx context.Context, book projections.Book) error {
		err := body(ctx, s.seen(book))
		if s.swallow {
			return nil
		}
		return err
	})
	return err
}

func (s *table) seen(book projections.Book) projections.Book {
	if s.book != nil {
		return s.book(book)
	}
	return book
}

// Transact fulfils [projections.Target].
func (s *table) Transact(ctx context.Context, body func(context.Context, *table, projections.Book) error) error {
	return s.Update(ctx, func(ctx context.Context, book projections.Book) (err error) {
		s.mu.Lock()
		before := maps.Clone(s.rows)
		s.mu.Unlock()
		done := false
		defer func() {
			if (!done || err != nil) && !s.noBack {
				s.mu.Lock()
				s.rows = before
				s.mu.Unlock()
			}
		}()
		err = body(ctx, s, book)
		done = true
		if s.apart && err == nil && len(before)%5 == 4 {
			return &persistence.UnavailableError{Reason: "broken between"}
		}
		return err
	})
}

func (s *table) add(_ context.Context, _ *table, key string, n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rows == nil {
		s.rows = map[string]int{}
	}
	s.rows[key] += n
	return nil
}

func (s *table) sums(context.Context) (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.rows), nil
}

func subject(s *table) Subject[*table] {
	return Subject[*table]{Target: s, Add: s.add, Sums: s.sums}
}

func TestTable(t *testing.T) {
	t.Parallel()
	Run(t, func(testing.TB) Subject[*table] { return subject(new(table)) })
}

// faulty is a book with hooks.
type faulty struct {
	projections.Book
	save       func(ctx context.Context, part projections.PartKey, epoch int64, from tail.Checkpoint, worker projections.Worker) error
	takeOver   func(ctx context.Context, part projections.PartKey, node string) (projections.Worker, error)
	fence      func(ctx context.Context, name string, version int) error
	divide     func(ctx context.Context, name string, version int, workers []projections.Worker) error
	register   func(ctx context.Context, registration projections.Registration) error
	unregister func(ctx context.Context, name string, version int) error
	parked     func(ctx context.Context, name string, version int, after persistence.Position, limit int) ([]projections.Parked, error)
	park       func(ctx context.Context, parked projections.Parked) error
	release    func(ctx context.Context, part projections.PartKey, epoch int64) error
	beat       func(ctx context.Context, node string, beat int64) error
	forget     func(ctx context.Context, node string, beat int64) error
}

func (f *faulty) Release(ctx context.Context, part projections.PartKey, epoch int64) error {
	if f.release != nil {
		return f.release(ctx, part, epoch)
	}
	return f.Book.Release(ctx, part, epoch)
}

func (f *faulty) Beat(ctx context.Context, node string, beat int64) error {
	if f.beat != nil {
		return f.beat(ctx, node, beat)
	}
	return f.Book.Beat(ctx, node, beat)
}

func (f *faulty) Forget(ctx context.Context, node string, beat int64) error {
	if f.forget != nil {
		return f.forget(ctx, node, beat)
	}
	return f.Book.Forget(ctx, node, beat)
}

func (f *faulty) Save(ctx context.Context, part projections.PartKey, epoch int64, from tail.Checkpoint, worker projections.Worker) error {
	if f.save != nil {
		return f.save(ctx, part, epoch, from, worker)
	}
	return f.Book.Save(ctx, part, epoch, from, worker)
}

func (f *faulty) TakeOver(ctx context.Context, part projections.PartKey, node string) (projections.Worker, error) {
	if f.takeOver != nil {
		return f.takeOver(ctx, part, node)
	}
	return f.Book.TakeOver(ctx, part, node)
}

func (f *faulty) Fence(ctx context.Context, name string, version int) error {
	if f.fence != nil {
		return f.fence(ctx, name, version)
	}
	return f.Book.Fence(ctx, name, version)
}

func (f *faulty) Divide(ctx context.Context, name string, version int, workers []projections.Worker) error {
	if f.divide != nil {
		return f.divide(ctx, name, version, workers)
	}
	return f.Book.Divide(ctx, name, version, workers)
}

func (f *faulty) Register(ctx context.Context, registration projections.Registration) error {
	if f.register != nil {
		return f.register(ctx, registration)
	}
	return f.Book.Register(ctx, registration)
}

func (f *faulty) Unregister(ctx context.Context, name string, version int) error {
	if f.unregister != nil {
		return f.unregister(ctx, name, version)
	}
	return f.Book.Unregister(ctx, name, version)
}

func (f *faulty) Parked(ctx context.Context, name string, version int, after persistence.Position, limit int) ([]projections.Parked, error) {
	if f.parked != nil {
		return f.parked(ctx, name, version, after, limit)
	}
	return f.Book.Parked(ctx, name, version, after, limit)
}

func (f *faulty) Park(ctx context.Context, parked projections.Parked) error {
	if f.park != nil {
		return f.park(ctx, parked)
	}
	return f.Book.Park(ctx, parked)
}

// owner is the row as it is.
func (f *faulty) owner(ctx context.Context, part projections.PartKey) projections.Worker {
	workers, _ := f.Workers(ctx, part.Name, part.Version)
	for _, w := range workers {
		if w.Low == part.Low {
			return w
		}
	}
	return projections.Worker{}
}

// mutant is a target with one fault.
type mutant struct {
	caughtBy string
	fault    func(*table)
}

func inBook(hook func(*faulty)) func(*table) {
	return func(s *table) {
		s.book = func(book projections.Book) projections.Book {
			f := &faulty{Book: book}
			hook(f)
			return f
		}
	}
}

var mutants = map[string]mutant{
	"does not check the epoch": {"a save of an earlier epoch is fenced", inBook(func(f *faulty) {
		f.save = func(ctx context.Context, part projections.PartKey, _ int64, from tail.Checkpoint, worker projections.Worker) error {
			return f.Book.Save(ctx, part, f.owner(ctx, part).Epoch, from, worker)
		}
	})},
	"does not check the checkpoint": {"a save from another checkpoint is fenced", inBook(func(f *faulty) {
		f.save = func(ctx context.Context, part projections.PartKey, epoch int64, _ tail.Checkpoint, worker projections.Worker) error {
			return f.Book.Save(ctx, part, epoch, f.owner(ctx, part).Checkpoint, worker)
		}
	})},
	"says nothing when nobody is there to save for": {"a save of a part that is gone is fenced", inBook(func(f *faulty) {
		f.save = func(ctx context.Context, part projections.PartKey, epoch int64, from tail.Checkpoint, worker projections.Worker) error {
			if f.owner(ctx, part).High == 0 {
				return nil
			}
			return f.Book.Save(ctx, part, epoch, from, worker)
		}
	})},
	"forgets the state": {"who takes a part over raises its epoch and gets all of it", inBook(func(f *faulty) {
		f.save = func(ctx context.Context, part projections.PartKey, epoch int64, from tail.Checkpoint, worker projections.Worker) error {
			worker.State = nil
			return f.Book.Save(ctx, part, epoch, from, worker)
		}
	})},
	"takes over without a new epoch": {"who takes a part over raises its epoch and gets all of it", inBook(func(f *faulty) {
		f.takeOver = func(ctx context.Context, part projections.PartKey, node string) (projections.Worker, error) {
			w := f.owner(ctx, part)
			w.Node, w.Cause = node, ""
			return w, nil
		}
	})},
	"takes over before a save that is under way": {"who takes over waits for a save that is under way", inBook(func(f *faulty) {
		f.takeOver = func(ctx context.Context, part projections.PartKey, node string) (projections.Worker, error) {
			w, err := f.Book.TakeOver(ctx, part, node)
			w.Checkpoint = place(0)
			return w, err
		}
	})},
	"leaves the part of another": {"who leaves a part leaves its own only", inBook(func(f *faulty) {
		f.release = func(ctx context.Context, part projections.PartKey, _ int64) error {
			return f.Book.Release(ctx, part, f.owner(ctx, part).Epoch)
		}
	})},
	"keeps the first sign of life": {"signs of life come back as they were given last", inBook(func(f *faulty) {
		f.beat = func(ctx context.Context, node string, beat int64) error {
			if before, _ := f.Beats(ctx); before[node] != 0 {
				return nil
			}
			return f.Book.Beat(ctx, node, beat)
		}
	})},
	"forgets who has come back to life": {"signs of life come back as they were given last", inBook(func(f *faulty) {
		f.forget = func(ctx context.Context, node string, _ int64) error {
			now, _ := f.Beats(ctx)
			return f.Book.Forget(ctx, node, now[node])
		}
	})},
	"loses signs of life": {"of two runners one has the projection, until it dies", inBook(func(f *faulty) {
		f.beat = func(context.Context, string, int64) error { return nil }
	})},
	"does not fence": {"a save behind a wish is fenced", inBook(func(f *faulty) {
		f.fence = func(context.Context, string, int) error { return nil }
	})},
	"begins epochs anew": {"a save of a part that was divided anew is fenced", inBook(func(f *faulty) {
		f.divide = func(ctx context.Context, name string, version int, workers []projections.Worker) error {
			before, _ := f.Workers(ctx, name, version)
			if len(before) == len(workers) {
				return nil
			}
			return f.Book.Divide(ctx, name, version, workers)
		}
	})},
	"keeps workers of what is unregistered": {"what is unregistered is gone with all it had", inBook(func(f *faulty) {
		f.unregister = func(ctx context.Context, name string, version int) error {
			workers, _ := f.Workers(ctx, name, version)
			if err := f.Book.Unregister(ctx, name, version); err != nil {
				return err
			}
			return f.Book.Divide(ctx, name, version, workers)
		}
	})},
	"keeps what was set aside of what is unregistered": {"what is unregistered is gone with all it had", inBook(func(f *faulty) {
		f.unregister = func(ctx context.Context, name string, version int) error {
			aside, _ := f.Book.Parked(ctx, name, version, persistence.Position{}, 100)
			err := f.Book.Unregister(ctx, name, version)
			for _, parked := range aside {
				_ = f.Book.Park(ctx, parked)
			}
			return err
		}
	})},
	"does not replace registrations": {"registrations come back as they were, by name and version", inBook(func(f *faulty) {
		f.register = func(ctx context.Context, registration projections.Registration) error {
			all, _ := f.Registrations(ctx, registration.Name)
			for _, other := range all {
				if other.Version == registration.Version {
					return nil
				}
			}
			return f.Book.Register(ctx, registration)
		}
	})},
	"keeps no times": {"registrations come back as they were, by name and version", inBook(func(f *faulty) {
		f.register = func(ctx context.Context, registration projections.Registration) error {
			registration.Created = registration.Created.Truncate(time.Second)
			return f.Book.Register(ctx, registration)
		}
	})},
	"returns what was set aside in any order": {"what is set aside comes back by position, a part at a time", inBook(func(f *faulty) {
		f.parked = func(ctx context.Context, name string, version int, after persistence.Position, limit int) ([]projections.Parked, error) {
			aside, err := f.Book.Parked(ctx, name, version, after, limit)
			slices.Reverse(aside)
			return aside, err
		}
	})},
	"has no limit": {"what is set aside comes back by position, a part at a time", inBook(func(f *faulty) {
		f.parked = func(ctx context.Context, name string, version int, after persistence.Position, _ int) ([]projections.Parked, error) {
			return f.Book.Parked(ctx, name, version, after, 1000)
		}
	})},
	"forgets the wish to try again": {"what waits behind an event that was set aside keeps its order", inBook(func(f *faulty) {
		f.park = func(ctx context.Context, parked projections.Parked) error {
			parked.Retry = false
			return f.Book.Park(ctx, parked)
		}
	})},
	"does not roll the read model back": {"the read model and the book are one transaction", func(s *table) { s.noBack = true }},
	"commits the read model before the book": {"each event is applied once though handlers, transactions and runners fail", func(s *table) {
		s.apart, s.noBack = true, true
	}},
	"waits without the context": {"a caller with a deadline does not wait for somebody else's transaction", func(s *table) { s.deaf = true }},
	"commits what body refuses": {"what body refuses or panics with leaves nothing", func(s *table) { s.swallow = true }},
}

// TestMutants lets the suite meet targets that break a promise each.
func TestMutants(t *testing.T) {
	t.Parallel()
	for name, m := range mutants {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := new(table)
			m.fault(s)
			check := cases[*table]()[m.caughtBy]
			require.NotNil(t, check, "there is no case %q", m.caughtBy)
			ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
			defer cancel()

			require.Error(t, check(ctx, subject(s)))
		})
	}
}
