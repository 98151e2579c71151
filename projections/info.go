package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/stele-es/stele/persistence"
)

// Status says what a projection is doing.
type Status string

// The statuses. A projection with several workers has the worst status of them.
const (
	// Starting: it takes over its part.
	Starting Status = "starting"
	// CatchingUp: it applies events of the past.
	CatchingUp Status = "catching-up"
	// Live: it has reached the end and applies new events.
	Live Status = "live"
	// Waiting: it waits for a target or a journal that is away.
	Waiting Status = "waiting"
	// Retrying: it tries a failed event again.
	Retrying Status = "retrying"
	// Paused: it has reached the place at which it must stop until others have reached
	// it.
	Paused Status = "paused"
	// Failed: it has ended, and its cause says why.
	Failed Status = "failed"
	// Stopping: it finishes its current event.
	Stopping Status = "stopping"
	// Stopped: it does not run, because an operator has stopped it or the runner does not
	// run.
	Stopped Status = "stopped"
	// Retired: it does not run, because another version has taken over.
	Retired Status = "retired"
	// Deleted: it does not exist.
	Deleted Status = "deleted"
	// Elsewhere: it runs on other nodes; its cause says whether this node waits to take
	// over.
	Elsewhere Status = "elsewhere"
)

// rank orders statuses by how much they want attention.
func (s Status) rank() int {
	return slices.Index([]Status{Live, Elsewhere, CatchingUp, Starting, Paused, Stopping, Retrying, Waiting, Failed}, s)
}

// ended reports that there is nothing to wait for.
func (s Status) ended() bool {
	return s == Failed || s == Stopped || s == Retired || s == Deleted
}

// state is the status of the version on this node.
func (h *hosted) state() (Status, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.stateLocked()
}

func (h *hosted) stateLocked() (Status, error) {
	if len(h.workers) == 0 {
		return h.status, h.cause
	}
	worst, cause := Status(""), error(nil)
	for _, w := range h.workers {
		w.mu.Lock()
		if worst == "" || w.status.rank() > worst.rank() {
			worst, cause = w.status, w.cause
		}
		w.mu.Unlock()
	}
	return worst, cause
}

// Info describes one version of a projection.
type Info struct {
	Name    string // of the projection
	Version int    // of its definition
	// Active says that readers use this version, Effects that it may emit events and call
	// other systems, Ready that its read model was set up.
	Active, Effects, Ready bool
	// Status is the worst status of its workers.
	Status Status
	// Cause says why it waits, tries again or has failed, or which runner it waits for.
	Cause string
	// Position is the place that all workers have reached.
	Position persistence.Positions
	// Lag is the distance of this place to the end of the journal.
	Lag Lag
	// Workers are its parts, by their slices.
	Workers []WorkerInfo
	// Parked is the number of parked events; at most 1000 are counted.
	Parked int
	// ParkedSince is the time at which the oldest of them that is still to be applied was
	// parked; zero when there is none.
	ParkedSince time.Time
	// Emitted counts the events that were emitted since the runner was started.
	// EmitDiverged counts those among them that were already stored with other content.
	Emitted, EmitDiverged int64
}

// WorkerInfo describes a part of a projection.
type WorkerInfo struct {
	// Low and High bound its slices; High itself is not one of them.
	Low, High int
	// Position is the place of the last event that was applied.
	Position persistence.Positions
	// Node is the owner.
	Node string
	// Status says what it is doing.
	Status Status
	// Cause says why it waits, tries again or has failed.
	Cause string
	// Moved is the time at which it reached its position.
	Moved time.Time
	// Applied and Failures count events since the worker was started here.
	Applied, Failures int64
}

// Lag says how far a projection is behind the journal.
type Lag struct {
	// Known is false when the journal could not be asked; the other fields are then
	// without meaning.
	Known bool
	// Events is the number of events behind the position, also of those that the
	// projection does not choose. It is not 0 while there is one.
	Events int
	// Time is the age of the first of them.
	Time time.Duration
	// Stuck is the time for which the position has not moved although there was something
	// to do.
	Stuck time.Duration
	// Remaining is the time that the rest will take at the pace so far, 0 when it is not
	// known.
	Remaining time.Duration
}

// ListOptions choose among projections. The zero value chooses the first twenty.
type ListOptions struct {
	// Name chooses one exact name, and Pattern names of which some part matches this RE2
	// expression.
	Name, Pattern string
	// After is the last name already seen.
	After string
	// Limit is the greatest number of versions; 0 is 20, negative is invalid.
	Limit int
}

// List describes the projections here, by name and version.
func (r *Runner) List(ctx context.Context, options ListOptions) ([]Info, error) {
	if options.Limit < 0 {
		return nil, &persistence.InvalidError{Field: "limit", Reason: "is negative"}
	}
	names := persistence.ListOptions{Name: options.Name, Pattern: options.Pattern}
	matches, err := names.Matcher()
	if err != nil {
		return nil, err
	}
	var infos []Info
	for _, h := range r.hosted {
		if !matches(h.spec.name) || h.spec.name <= options.After {
			continue
		}
		if len(infos) == cmp.Or(options.Limit, 20) {
			break
		}
		info, err := h.info(ctx)
		if err != nil {
			return nil, err
		}
		infos = append(infos, info)
	}
	return infos, nil
}

// Info describes a projection: the version that the name means.
func (r *Runner) Info(ctx context.Context, name string) (Info, error) {
	h, err := r.active(name)
	if err != nil {
		return Info{}, err
	}
	return h.info(ctx)
}

// Status returns what a projection does here, without asking anybody.
func (r *Runner) Status(name string) (Status, error) {
	h, err := r.active(name)
	if err != nil {
		return "", err
	}
	status, _ := h.state()
	return status, nil
}

// State returns the last saved state of a projection as JSON; nil when there is none yet.
// A projection without a [State] is invalid, and one that was deleted is [ErrNotFound].
func (r *Runner) State(ctx context.Context, name string) (json.RawMessage, error) {
	h, err := r.active(name)
	if err != nil {
		return nil, err
	}
	if !h.keepsState() {
		return nil, &persistence.InvalidError{Field: "projection", Reason: "keeps no state: ask what its target holds"}
	}
	workers, err := h.rows(ctx)
	switch {
	case err != nil:
		return nil, err
	case len(workers) > 0:
		return workers[0].State, nil
	case h.isDeleted():
		return nil, &NotFoundError{name}
	}
	return nil, nil
}

func (h *hosted) info(ctx context.Context) (Info, error) {
	info := Info{Name: h.spec.name, Version: h.spec.version}
	status, cause := h.state()
	if info.Status = status; h.isDeleted() {
		info.Status = Deleted
	}
	registration, rows, err := h.readInfo(ctx, &info)
	if err != nil || len(rows) == 0 {
		return info, err
	}
	if info.Status = status; cause != nil {
		info.Cause = causeOf(cause)
	}
	here, proven := h.collect(&info, rows)
	if !proven {
		if _, err := h.stand(ctx, rows, map[int]string{}); errors.Is(err, ErrDiverged) {
			info.Status, info.Cause = Failed, causeOf(err)
			return info, nil // how far it is behind is not known
		}
	}
	if here == 0 && (status == Starting || status == Elsewhere || status == Stopped) {
		info.Status, info.Cause = elsewhere(status, info.Cause, registration.Stopped, registration.Successor > 0, rows)
	}
	info.Lag = h.lag(ctx, &info)
	return info, nil
}

// readInfo fills in what the store tells of the projection, and returns its parts.
func (h *hosted) readInfo(ctx context.Context, info *Info) (registration Registration, rows []Worker, err error) {
	err = view(ctx, h.store, func(ctx context.Context, book Book) error {
		all, err := book.Registrations(ctx, h.spec.name)
		if err != nil {
			return err
		}
		var found bool
		if registration, found = versionOf(all, h.spec.version); !found {
			return nil
		}
		info.Active, info.Effects, info.Ready = registration.Active, registration.Effects, registration.Ready
		if rows, err = book.Workers(ctx, h.spec.name, h.spec.version); err != nil {
			return err
		}
		parked, err := book.Parked(ctx, h.spec.name, h.spec.version, persistence.Position{}, 1000)
		info.Parked, info.ParkedSince = len(parked), oldest(parked)
		return err
	})
	return registration, rows, err
}

// oldest returns when the first of the parked events was parked, but for those that are
// skipped for good. It is zero when there are none.
func oldest(parked []Parked) (since time.Time) {
	for _, p := range parked {
		if p.Attempts != Skipped && (since.IsZero() || p.At.Before(since)) {
			since = p.At
		}
	}
	return since
}

// elsewhere is the status of what has no worker here, as far as the store tells.
func elsewhere(here Status, waits string, stopped, retired bool, rows []Worker) (Status, string) {
	switch {
	case stopped && retired:
		return Retired, ""
	case stopped:
		return Stopped, ""
	}
	for _, row := range rows {
		if row.Cause != "" {
			return Failed, row.Cause
		}
	}
	for _, row := range rows {
		if row.Node != "" {
			return Elsewhere, waits
		}
	}
	return here, ""
}

// collect joins what the store says of workers with what those here say, who know
// more. It returns how many are here, and whether the journal is known to have the
// places of all.
func (h *hosted) collect(info *Info, rows []Worker) (workers int, proven bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	proven = true
	for i, row := range rows {
		worker := WorkerInfo{Low: row.Low, High: row.High, Position: row.Checkpoint.Positions(), Node: row.Node, Status: Elsewhere, Cause: row.Cause, Moved: row.Moved}
		if row.Cause != "" {
			worker.Status = Failed
		}
		here := h.workers[row.Low]
		if held := here.heldBy(); held != nil { // which is not here
			worker.Cause = cmp.Or(row.Cause, causeOf(held))
			proven = false
		} else if here != nil {
			workers++
			here.mu.Lock()
			proven = proven && here.proven
			worker.Position, worker.Status, worker.Moved = here.at.Positions(), here.status, here.moved
			worker.Applied, worker.Failures = here.applied, here.failures
			if here.cause != nil {
				worker.Cause = causeOf(here.cause)
			}
			here.mu.Unlock()
			info.Emitted += here.emitted.Load()
			info.EmitDiverged += here.diverged.Load()
		} else {
			proven = false
		}
		if i == 0 {
			info.Position = worker.Position
		}
		info.Position = lower(info.Position, worker.Position)
		info.Workers = append(info.Workers, worker)
	}
	return workers, proven
}

// lag asks the journal, apart from the worker, who may be what is stuck.
func (h *hosted) lag(ctx context.Context, info *Info) Lag {
	head, err := h.config.Journal.Head(ctx)
	if err != nil {
		return Lag{}
	}
	lag := Lag{Known: true, Events: distance(info.Position, head)}
	if lag.Events == 0 {
		return lag
	}
	now := time.Now()
	options := persistence.ReadAllOptions{After: info.Position, System: true, PageRows: 1}
	for page, err := range h.config.Journal.ReadAll(ctx, options) {
		if err != nil {
			return Lag{}
		}
		if len(page.Events) > 0 {
			lag.Time = max(0, now.Sub(page.Events[0].At))
			break
		}
	}
	moved := time.Time{}
	for _, w := range info.Workers { // the slowest worker is the one that is stuck
		if distance(w.Position, head) > 0 && (moved.IsZero() || w.Moved.Before(moved)) {
			moved = w.Moved
		}
	}
	lag.Stuck = min(max(0, now.Sub(moved)), lag.Time)
	lag.Remaining = h.remaining(lag.Events, now)
	return lag
}

// remaining is the time that the events will take at the pace of the workers so far.
func (h *hosted) remaining(events int, now time.Time) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	longest := time.Duration(0)
	for _, w := range h.workers {
		w.mu.Lock()
		come, took := distance(w.from.Positions(), w.at.Positions()), now.Sub(w.begun)
		w.mu.Unlock()
		if come > 0 {
			longest = max(longest, time.Duration(float64(took)*float64(events)/float64(come)))
		}
	}
	return longest
}

// Level says how much attention something needs. It prints as a word.
type Level = persistence.Level

// The levels.
const (
	Green  = persistence.Green
	Yellow = persistence.Yellow
	Red    = persistence.Red
)

// Health is the state of a projection. A journal or a target that is away makes all
// projections that need it red after a while, and never looks like a lag of 0.
type Health struct {
	Name    string // of the projection
	Version int    // of its definition
	Level   Level  // Green is fine
	// Reason says why it is not green, or which runner has the projection when this one
	// waits.
	Reason string
}

// When a projection wants attention.
const (
	yellowAfter = 30 * time.Second
	redAfter    = 60 * time.Second
	parkedRed   = 24 * time.Hour
)

// Health returns the state of the projections here, by name and version.
func (r *Runner) Health(ctx context.Context) []Health {
	all := make([]Health, len(r.hosted))
	for i, h := range r.hosted {
		all[i] = Health{Name: h.spec.name, Version: h.spec.version}
		info, err := h.info(ctx)
		if err != nil {
			info = Info{Lag: Lag{}}
		}
		all[i].Level, all[i].Reason = h.judge(&info, err)
	}
	return all
}

func (h *hosted) judge(info *Info, err error) (Level, string) {
	status, cause := h.state()
	if err == nil {
		status = info.Status
	}
	if cause == nil {
		cause = errors.New(cmp.Or(info.Cause, string(status)))
	}
	since, others := h.sinceWhen(status)
	lasting := time.Since(since)
	switch {
	case status == Failed:
		return Red, causeOf(cause)
	case status == Stopped, status == Retired, status == Deleted:
		return Green, ""
	case (status == Waiting || status == Retrying) && lasting > redAfter:
		return Red, causeOf(cause)
	case err != nil:
		return Yellow, causeOf(err)
	case !info.Lag.Known:
		return Yellow, "the journal cannot be asked, so the lag is not known"
	}
	if level, text := judgeProgress(info); level == Red {
		return level, text
	}
	switch {
	case info.Lag.Stuck > yellowAfter, status == Waiting, status == Retrying:
		return Yellow, causeOf(cause)
	case !info.ParkedSince.IsZero():
		return Yellow, fmt.Sprintf("%d events are set aside, see Parked", info.Parked)
	case others:
		return Yellow, "it " + otherEvents
	}
	return Green, info.Cause
}

// judgeProgress is Red when events have waited for too long.
func judgeProgress(info *Info) (Level, string) {
	switch {
	case info.Lag.Stuck > redAfter:
		return Red, "it does not move although there are events"
	case !info.ParkedSince.IsZero() && time.Since(info.ParkedSince) > parkedRed:
		return Red, "events have been set aside for more than a day"
	}
	return Green, ""
}

// sinceWhen returns since when the projection or one of its workers has had a status, and
// whether it reads events of others.
func (h *hosted) sinceWhen(status Status) (since time.Time, others bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	since = h.since
	for _, w := range h.workers {
		w.mu.Lock()
		if w.status == status {
			since = w.since
		}
		w.mu.Unlock()
	}
	return since, h.others
}
