package actorstest

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stele-es/stele/actors"
	"github.com/stele-es/stele/internal/faultjournal"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
)

// Simulation runs a story about a whole system many times in virtual time, each
// with a seed of its own that decides what goes wrong and when.
//
//	actorstest.Simulation{Aggregates: […], Rates: actorstest.Rates{Lost: 0.1}}.Run(t, func(t *testing.T, run *actorstest.Run) {
//		for i := range 5 {
//			run.Go(func(caller *actorstest.Caller) {
//				caller.Pause(time.Minute)
//				…
//			})
//		}
//		run.Crash()
//	})
//
// Each seed is a subtest with its name: a failing one is run again by
//
//	go test -run 'TestTransfers/seed=17'
//
// and does the same again, to the last byte of the journal, as long as the story takes
// its time and its chance from its [Run] and [Caller] alone and asks nothing in the
// moment of another's answer without a pause. Sent commands are delivered side by side:
// with process managers a seed breaks the same, and the order of events may still differ.
type Simulation struct {
	// Aggregates are hosted.
	Aggregates []actors.Definition
	// Config is the rest of what can be configured. Its journal must be nil.
	Config actors.Config
	// Rates say how often what goes wrong. Delay is one second by default: commits
	// must take some time for their order to be a matter of the seed.
	Rates Rates
	// Seeds is the number of runs; the default is 20.
	Seeds int
	// First is the first seed; the others follow it.
	First uint64
}

// Run is one run of a [Simulation]: a system that goes wrong.
type Run struct {
	*System
	// Seed is the seed of this run.
	Seed uint64

	config  actors.Config
	chance  *rand.Rand
	callers sync.WaitGroup
	started uint64
	journal *memory.Journal
	beside  []*System
}

// Run runs the story for each seed. It waits for the callers and for what the journal
// has still to do.
func (s Simulation) Run(t *testing.T, story func(t *testing.T, run *Run)) {
	t.Helper()
	if s.Seeds == 0 {
		s.Seeds = 20
	}
	for seed := s.First; seed < s.First+uint64(s.Seeds); seed++ { //nolint:gosec // a count
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { s.once(t, seed, story) })
		})
	}
}

// once runs the story for one seed. Whatever waits, waits for a time of its own,
// chosen by the seed to the nanosecond, so that no two things happen at the same
// moment and the scheduler has nothing to choose.
func (s Simulation) once(t *testing.T, seed uint64, story func(t *testing.T, run *Run)) {
	t.Helper()
	if s.Config.Journal != nil {
		t.Fatalf("a simulation has a journal of its own: leave Config.Journal nil")
	}
	if s.Rates.Delay == 0 {
		s.Rates.Delay = time.Second
	}
	under := new(memory.Journal)
	faults := faultjournal.Random(seed, s.Rates)
	config := s.Config
	config.Aggregates = append(slices.Clone(s.Aggregates), config.Aggregates...)
	config.NewCommandID = ids(seed)
	config.Journal = faultjournal.New(faultjournal.Config{
		Journal: under,
		Append: func(a *persistence.Append, n int) faultjournal.Fault {
			name(a, seed, n)
			return faults(a, n)
		},
		// The same for all readings of a stream: two that begin together, as a snapshot
		// and a recovery may, have no order.
		Read: func(stream persistence.StreamID, _ int) faultjournal.ReadFault {
			fault := faultjournal.ReadFault{Delay: time.Duration(chanceOf(seed, "read "+string(stream), 0).Int64N(int64(s.Rates.Delay)))}
			second := uint64(time.Now().Unix()) //nolint:gosec // after 1970
			if chanceOf(seed, "fail "+string(stream), second).Float64() < s.Rates.Read {
				fault.Err = &persistence.UnavailableError{Reason: "a fault of reading"}
			}
			return fault
		},
	})
	run := &Run{System: StartWith(t, config), Seed: seed, config: config, chance: chanceOf(seed, "story", 0), journal: under}
	run.look = under
	story(t, run)
	run.Settle()
	for _, beside := range run.beside {
		beside.Stop()
	}
	run.Stop()
	if err := config.Journal.Close(); err != nil {
		t.Fatalf("close the journal: %v", err)
	}
}

// chanceOf is the source of chance for one thing.
func chanceOf(seed uint64, what string, n uint64) *rand.Rand {
	sum := fnv.New64a()
	sum.Write([]byte(what))
	return rand.New(rand.NewPCG(seed^sum.Sum64(), n)) //nolint:gosec // to be repeated, not to be secret
}

// ids makes command ids that are the same in every run of a seed.
func ids(seed uint64) func() persistence.CommandID {
	var made atomic.Uint64
	return func() (id persistence.CommandID) {
		binary.BigEndian.PutUint64(id[:8], uint64(time.Now().UnixMilli())<<16|7<<12|made.Load()&0xfff) //nolint:gosec // after 1970
		binary.BigEndian.PutUint64(id[8:], 1<<63|seed<<32>>1|made.Add(1))
		return id
	}
}

// name gives the events of an append ids that are the same in every run.
func name(a *persistence.Append, seed uint64, n int) {
	chance := chanceOf(seed, "event "+string(a.Stream), uint64(n)) //nolint:gosec // counted from 1
	for i := range a.Events {
		if id := &a.Events[i].ID; *id == (persistence.EventID{}) {
			binary.BigEndian.PutUint64(id[:8], chance.Uint64())
			binary.BigEndian.PutUint64(id[8:], chance.Uint64())
		}
	}
}

// Caller is somebody in a story who asks.
type Caller struct {
	// Chance is the random source of this caller alone.
	Chance *rand.Rand
}

// Go starts a caller. Nobody starts at the same moment as another.
func (r *Run) Go(story func(caller *Caller)) {
	r.started++
	caller := &Caller{Chance: chanceOf(r.Seed, "caller", r.started)}
	r.callers.Go(func() { // awaited by Settle
		caller.Pause(time.Second)
		story(caller)
	})
}

// Beside starts another system on the same journal, as a second process would be: it
// hosts the same aggregates, and shares nothing with the first but the journal. It ends
// with the run.
func (r *Run) Beside() *System {
	r.t.Helper()
	beside := &System{t: r.t, config: r.config, look: r.journal}
	beside.open()
	r.beside = append(r.beside, beside)
	return beside
}

// Pause lets virtual time go by, up to most.
func (c *Caller) Pause(most time.Duration) { pause(c.Chance, most) }

// Pause lets virtual time go by for the story itself, up to most.
func (r *Run) Pause(most time.Duration) { pause(r.chance, most) }

func pause(chance *rand.Rand, most time.Duration) {
	<-time.After(1 + time.Duration(chance.Int64N(int64(max(most, 1)))))
}

// Chance is the story's own source of chance.
func (r *Run) Chance() *rand.Rand { return r.chance }

// Settle waits for all callers, and then for appends and deliveries that come late.
func (r *Run) Settle() {
	r.callers.Wait()
	<-time.After(time.Hour)
}

// Digest is a fingerprint of all that the journal holds, to the last byte.
func (r *Run) Digest() string {
	r.t.Helper()
	sum := sha256.New()
	for page, err := range r.journal.ReadAll(r.t.Context(), persistence.ReadAllOptions{}) {
		if err != nil {
			r.t.Fatalf("read the journal: %v", err)
		}
		for i := range page.Events {
			write(sum, &page.Events[i])
		}
		if page.AtHead {
			break
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

func write(sum hash.Hash, e *persistence.Recorded) {
	fmt.Fprintf(sum, "%s %s %d %s %s %d %d\n", e.Position, e.Stream, e.Version, e.ID, e.Type, e.Schema, e.At.UnixMicro())
	for _, part := range [][]byte{e.Payload, e.Headers, persistence.EncodeMetadata(e.Metadata)} {
		fmt.Fprintf(sum, "%d %x\n", len(part), part)
	}
}
