package actors

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"github.com/stele-es/stele/actors/internal/dedupe"
	"github.com/stele-es/stele/internal/appender"
	"github.com/stele-es/stele/internal/lifecycle"
	"github.com/stele-es/stele/internal/usercode"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/upcast"
)

// Config holds what a [System] hosts, and its limits. Zero fields have the defaults named
// below. The Config of package stele has the same fields, under the same names, but for
// Delivering and ProveMessages.
type Config struct {
	// Journal stores the events. It is required, and stays open when the system
	// closes.
	Journal persistence.Journal
	// Aggregates are the definitions hosted; at least one, each kind once.
	Aggregates []Definition
	// Logger takes the messages for operators. The default is slog.Default().
	Logger *slog.Logger
	// AskTimeout limits an Ask whose context has no deadline. The default is 10 s.
	AskTimeout time.Duration
	// Mailbox limits how many commands may wait for one aggregate. More are refused as
	// overloaded. The default is 1024.
	Mailbox int
	// MaxInFlight limits how many commands the system has taken and not answered. More are
	// refused as overloaded. The default is 65536.
	MaxInFlight int
	// MaxInFlightBytes limits the bytes of the commands that the system has taken and not
	// answered. While they have as many, more are refused as overloaded. The default is 256
	// MiB.
	MaxInFlightBytes int
	// MaxActive limits how many aggregates stay in memory. Beyond it, those that were unused
	// for longest leave. The default is 100,000.
	MaxActive int
	// Idle is the time for which an unused aggregate stays in memory, to the second. The
	// default is 2 minutes; a definition may choose another with [Idle].
	Idle time.Duration
	// RememberFor is the time for which a command with [Once] is recognised when it is
	// repeated, at least, unless RememberMax more commands came to the same aggregate since.
	// No single reading of a clock decides: the times of dozens of commands of the aggregate
	// are compared, so that the newest of them are recognised for as long as RememberMax
	// allows. The default is 7 days.
	RememberFor time.Duration
	// RememberMax is the number of commands with an id of their caller that an aggregate
	// recognises. Each takes about 90 bytes while the aggregate is in memory. The default is
	// 1000.
	RememberMax int
	// Recoveries is the number of streams that are read at the same time. The default is 50.
	Recoveries int
	// Enrich returns metadata for the events of a command, such as a tenant or a user, from
	// the context of its caller. Metadata of [WithMetadata] is added to it and wins; the
	// same rules hold. Enrich runs on the caller's goroutine. The default adds nothing.
	Enrich func(ctx context.Context) persistence.Metadata
	// Around wraps every command, the first function outermost: to authorise, to validate,
	// to trace, to log. The default is nothing.
	Around []Around
	// Upcasters turn events that were stored in an old form into those that the
	// definitions know, whenever an aggregate is read. The default is none.
	Upcasters *upcast.Chain
	// NewCommandID makes an id for each command that has none from its caller, and each id
	// once. The default makes ids in the order of time; a simulation makes the same ids each
	// time.
	NewCommandID func() persistence.CommandID
	// GiveUpAfter is the time for which the system tries to deliver a sent command, counted
	// from when it was due. After it the sender gets [ErrUndelivered]. A system tries for at
	// least a minute, whatever its clock says. The default is a day.
	GiveUpAfter time.Duration
	// MaxPending limits how many sent commands may be unfinished, timers included. A command
	// that would add to them is refused as overloaded, with [ReasonTooManyPending]. All
	// commands that systems on the journal have sent for kinds hosted here count, as they
	// were known up to half a minute ago. The default is 1,000,000; each sender takes about
	// 100 bytes.
	MaxPending int
	// Delivering says that the program that opens the system delivers events to the
	// aggregates that react to them, see [ReactionsOf]. Package stele does this. Without
	// it definitions with a [React] are refused, because their reactions would never run.
	Delivering bool
	// ShowPanics puts the values of panics in handlers and other code of the program into
	// logs and errors, for tests and development. A value may hold personal data, so by
	// default only its type is shown. Errors of the Go runtime are always shown.
	ShowPanics bool
	// TrustCallers hands protobuf commands to handlers without copying them. Set it when no
	// caller changes a command after asking it.
	TrustCallers bool
	// ProveMessages has every message decoded again when it is encoded, and refuses one
	// that comes back changed: the command fails with [persistence.ErrInvalid]. It is
	// for tests, where it finds what marshallers of your own lose; package actorstest
	// sets it.
	ProveMessages bool
}

// System hosts aggregates on one journal. Use [Open]. It is safe for concurrent
// use.
type System struct {
	config      Config
	definitions map[string]*definition
	strays      []string // kinds that have sent and are not hosted here
	minIdle     time.Duration

	actors     *actor.ActorSystem
	root       *actor.RootContext
	props      *actor.Props
	dispatcher dispatcher
	spawning   sync.Mutex
	next       *activation // being spawned; protected by spawning

	appender      persistence.Submitter
	ownQueue      *appender.Queue // when the journal cannot submit
	recoveries    *recoveries
	lookups       *lookups
	confirmations *confirmations
	histories     atomic.Int64 // commands in them
	snapshots     *snapshots
	log           *commandLog
	deliverer     *deliverer
	notes         *notes // nil when the journal keeps none
	open          openCount
	appends       failing
	sweeping      failing
	troubles      troubles
	directory     directory
	calls         sync.Pool
	stats         stats

	clock    atomic.Int64 // unix time, set by the ticker
	cursor   atomic.Int64
	inFlight inFlight
	running  atomic.Int64 // activations, stopping ones included
	closing  atomic.Bool
	empty    chan struct{} // receives when running has become 0
	dead     chan struct{} // closed when waiting for answers is in vain
	close    sync.Once
	err      error
	tasks    *lifecycle.Group
}

var errSystemClosed = errors.New("the system is closed")

// Open starts a system. Everything that is wrong with the configuration and the
// definitions is reported at once. Then it tells the journal what events and replies
// look like, so that they can be read without this program: see package schema. For
// that it waits until ctx is done; afterwards ctx means nothing to the system.
func Open(ctx context.Context, config Config) (*System, error) {
	s := &System{config: config, definitions: map[string]*definition{}, empty: make(chan struct{}, 1), dead: make(chan struct{})}
	if err := s.check(); err != nil {
		return nil, err
	}
	if err := s.describe(ctx); err != nil {
		return nil, err
	}
	s.calls.New = func() any { return newCall() }
	s.directory.init()
	s.clock.Store(time.Now().Unix())
	s.confirmations = newConfirmations(s.config.Journal)
	s.recoveries = newRecoveries(s.config.Journal, s.config.Recoveries, s.keep())
	s.lookups = newLookups(s.config.Journal)
	s.snapshots, s.log = newSnapshots(s), newCommandLog(s)
	s.deliverer = newDeliverer(s)
	tasks := append(s.submitter(), lifecycle.Component{Name: "clock of the aggregates", Run: s.tick})
	if kinds := s.processes(); len(kinds) > 0 {
		open := newOpenSearch(s, kinds)
		tasks = append(tasks, lifecycle.Component{Name: "timers of the aggregates", Run: s.deliverer.keepTime},
			lifecycle.Component{Name: "search for open sends", Run: open.run})
	}
	if len(s.strays) > 0 {
		tasks = append(tasks, lifecycle.Component{Name: "search for open sends of kinds that are not hosted", Run: s.findStrays})
	}
	s.startActors()
	s.tasks = lifecycle.Start(context.Background(), tasks...) //nolint:forbidigo // ended by Close, not by who opened
	s.tasks.OnFailure(func(err error) { s.config.Logger.Error("a part of the system has failed", slog.Any("err", err)) })
	return s, nil
}

func (s *System) check() error {
	c := &s.config
	var problems []error
	if c.Journal == nil {
		problems = append(problems, errors.New("no journal: set Config.Journal"))
	}
	if len(c.Aggregates) == 0 {
		problems = append(problems, errors.New("no aggregates: list the definitions in Config.Aggregates"))
	}
	for i, around := range c.Around {
		if around == nil {
			problems = append(problems, fmt.Errorf("function %d in Config.Around is nil: remove it", i+1))
		}
	}
	_, clash := Names(c.Aggregates...)
	problems = append(problems, clash, c.Upcasters.Prove())
	for _, d := range c.Aggregates {
		problems = append(problems, s.host(d))
	}
	if reacting := ReactionsOf(c.Aggregates...); len(reacting) > 0 && !c.Delivering {
		problems = append(problems, fmt.Errorf("aggregate %s reacts to events and nobody delivers them: start it with package stele, or deliver yourself and set Config.Delivering", reacting[0].of.kind))
	}
	if c.NewCommandID == nil {
		c.NewCommandID = func() persistence.CommandID { return persistence.CommandID(persistence.NewEventID()) }
	}
	c.Logger = usercode.Logger(c.Logger)
	problems = append(problems,
		setDefault("AskTimeout", &c.AskTimeout, 10*time.Second), setDefault("Mailbox", &c.Mailbox, 1024),
		setDefault("MaxInFlight", &c.MaxInFlight, 65536), setDefault("MaxInFlightBytes", &c.MaxInFlightBytes, 256<<20), setDefault("MaxActive", &c.MaxActive, 100_000),
		setDefault("Idle", &c.Idle, 2*time.Minute), setDefault("Recoveries", &c.Recoveries, 50),
		setDefault("GiveUpAfter", &c.GiveUpAfter, 24*time.Hour), setDefault("MaxPending", &c.MaxPending, 1_000_000),
		setDefault("RememberFor", &c.RememberFor, 7*24*time.Hour), setDefault("RememberMax", &c.RememberMax, 1000))
	s.minIdle = c.Idle
	for _, d := range s.definitions {
		if d.idle == 0 {
			d.idle = c.Idle
		}
		s.minIdle = min(s.minIdle, d.idle)
	}
	return persistence.Misconfigured(problems...)
}

func setDefault[T int | time.Duration](name string, field *T, value T) error {
	if *field < 0 {
		return fmt.Errorf("negative Config.%s: 0 is the default", name)
	}
	if *field == 0 {
		*field = value
	}
	return nil
}

func (s *System) host(d Definition) error {
	if d == nil || d.definition() == nil {
		return errors.New("a nil definition stands in Config.Aggregates: take what Define returns")
	}
	own := d.definition().clone() // systems with other defaults may share the definition
	own.upcasters, own.showPanics = s.config.Upcasters, s.config.ShowPanics
	problem := own.check()
	if problem == nil && s.config.ProveMessages {
		own.proveMessages()
	}
	if s.definitions[own.kind] != nil {
		problem = errors.Join(problem, fmt.Errorf("kind %q is listed twice in Config.Aggregates: remove one, or give it another kind", own.kind))
	}
	s.definitions[own.kind] = own
	return problem
}

// processes are the kinds hosted here that send commands, or may have sent some.
func (s *System) processes() (kinds []string) {
	for kind, d := range s.definitions {
		if d.process || d.hasSent {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// keep says which commands the aggregates remember.
func (s *System) keep() dedupe.Retention {
	return dedupe.Retention{Age: s.config.RememberFor, Count: s.config.RememberMax}
}

// submitter finds the way to append without waiting, and what has to run for it.
func (s *System) submitter() []lifecycle.Component {
	if direct, ok := persistence.As[persistence.Submitter](s.config.Journal); ok {
		s.appender = direct
		return nil
	}
	s.ownQueue = appender.New(appender.Config{Commit: s.commit, Logger: s.config.Logger})
	s.appender = s.ownQueue
	return []lifecycle.Component{{Name: "append queue", Run: func(context.Context) error {
		s.ownQueue.Run() // until it is closed
		return nil
	}}}
}

// commit stores a batch through the plain contract of a journal.
func (s *System) commit(batch *appender.Batch) {
	appends := make([]persistence.Append, len(batch.Items))
	for i := range batch.Items {
		appends[i] = batch.Items[i].Append
	}
	// Detached: the end of one caller must not end the commit of others.
	outcomes, err := s.config.Journal.Append(context.Background(), appends...) //nolint:forbidigo // the root of every commit
	for i := range appends {
		switch {
		case err == nil:
			batch.Settle(i, outcomes[i])
		case len(appends) > 1 && errors.Is(err, persistence.ErrInvalid):
			batch.Settle(i, s.commitAlone(&appends[i])) // only one of them need be at fault
		default:
			batch.Settle(i, persistence.Outcome{Err: err})
		}
	}
}

func (s *System) commitAlone(a *persistence.Append) persistence.Outcome {
	outcomes, err := s.config.Journal.Append(context.Background(), *a) //nolint:forbidigo // the root of every commit
	if err != nil {
		return persistence.Outcome{Err: err}
	}
	return outcomes[0]
}

func (s *System) startActors() {
	s.actors = actor.NewActorSystemWithConfig(actor.Configure(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return slog.New(slog.DiscardHandler) })))
	s.root = s.actors.Root
	s.props = actor.PropsFromProducer(func() actor.Actor { return s.next },
		actor.WithDispatcher(&s.dispatcher), actor.WithMailbox(func() actor.Mailbox { return &s.next.mailbox }))
}

// spawn makes an activation an actor. One Props serves all, which is why they
// are spawned one after the other: it saves several hundred bytes for each.
func (s *System) spawn(a *activation) {
	s.spawning.Lock()
	defer s.spawning.Unlock()
	s.next = a
	s.root.Spawn(s.props)
	s.next = nil
}

// Ask fulfils [Asker].
func (s *System) Ask(ctx context.Context, request Request) (any, error) {
	h, err := s.find(&request)
	if err != nil {
		// Without the id, which may be what is wrong.
		return nil, &persistence.Error{Kind: persistence.ErrorKindOf(err), Op: "ask " + request.kind, Err: err}
	}
	if request.receipt != nil {
		*request.receipt = Receipt{Command: request.id}
	}
	if len(s.config.Around) == 0 && s.definitions[request.kind].logging == 0 {
		return s.ask(ctx, &request, h)
	}
	return s.askAround(ctx, request, h)
}

// askAround is Ask when something stands around commands, or they are logged.
func (s *System) askAround(ctx context.Context, request Request, h *handler) (reply any, err error) {
	asked := Asked{
		Kind: request.kind, ID: request.aggregate, Command: h.command.Name(),
		CommandID: request.id, Message: request.message, Sent: request.class == sent || request.reacts != nil,
	}
	reached, answered, returned := false, false, false
	innermost, outcome := ctx, error(nil)
	defer func() {
		if returned {
			return
		}
		reason := recover()
		if err = s.refused(reason); reached && !answered {
			err = &persistence.Error{Kind: persistence.ErrUnknownOutcome, Reason: ReasonPanic, Command: request.id, Err: s.ended(reason)}
		} else {
			err = s.around(err, &request, h, reached, outcome)
		}
		s.config.Logger.Error("what stands around commands did not return", slog.String("kind", asked.Kind),
			slog.String("command", asked.Command), slog.Any("err", s.traced(reason)))
		s.logEnd(innermost, request.logged, err)
	}()
	request.logged = s.logBegin(&request, h, asked)
	reply, err = s.through(s.config.Around, asked, &innermost, func(ctx context.Context) (reply any, err error) {
		reached, innermost = true, ctx
		reply, outcome = s.ask(ctx, &request, h)
		answered = true
		return reply, outcome
	})(ctx)
	if err != nil {
		err = s.around(err, &request, h, reached, outcome)
	}
	if _, failed := err.(*persistence.Error); err != nil && !failed && !reached && request.class == sent { //nolint:errorlint // one further down is somebody else's
		// The aggregate remembers that it was refused, as it does what it rejects itself,
		// so that it is not let in when it comes again.
		request.refused = err
		reply, err = s.ask(ctx, &request, h)
	}
	returned = true
	s.logEnd(innermost, request.logged, err)
	return reply, err
}

// around gives an error of what stands around commands the kind of what has become of
// the command: it may come in the place of a reply, of another error, or from a call of
// its own to another aggregate.
func (s *System) around(err error, request *Request, h *handler, reached bool, outcome error) error {
	stream := persistence.StreamID(request.kind + "-" + request.aggregate)
	failed := &persistence.Error{Op: h.command.Name() + " on " + string(stream), Stream: stream, Command: request.id, Reason: ReasonAround, Err: err}
	class, _ := persistence.Classify(err)
	happened, _ := persistence.Classify(outcome)
	_, runtimes := err.(*persistence.Error) //nolint:errorlint // one further down is somebody else's
	switch {
	case reached && outcome != nil && class == happened, !reached && runtimes && class.Effect == persistence.NotDone:
		return err
	case !reached && (class.Effect != persistence.NotDone || class.Retry): // of something else that was asked on the way
		failed.Kind = persistence.ErrUnavailable
	case !reached, happened.Kind == persistence.ErrRejected:
		return s.definitions[request.kind].refusal(err)
	case outcome == nil:
		failed.Kind = persistence.ErrDone
	default:
		failed.Kind = happened.Kind
	}
	return failed
}

// ask delivers a command and waits for its outcome.
func (s *System) ask(ctx context.Context, request *Request, h *handler) (any, error) {
	if err := s.room(request, h); err != nil {
		return nil, err
	}
	c, err := s.prepare(ctx, request, h)
	if err != nil {
		return nil, &persistence.Error{Kind: persistence.ErrorKindOf(err), Op: "ask " + request.kind, Command: request.id, Err: err}
	}
	if err = s.admit(c); err == nil {
		err = s.deliver(c)
	}
	if err != nil {
		s.inFlight.remove(c)
		err = c.wrap(err)
		s.recycle(c)
		return nil, err
	}
	return s.await(ctx, c, request.receipt)
}

// find checks a request, gives it its id and finds who handles it.
func (s *System) find(r *Request) (_ *handler, err error) {
	defer s.caught(&err) // NewCommandID
	d := s.definitions[r.kind]
	if d == nil {
		return nil, &unknownKindError{r.kind}
	}
	if err := persistence.CheckID(r.aggregate); err != nil {
		return nil, err
	}
	if size := len(r.kind) + 1 + len(r.aggregate); size > persistence.MaxStreamName {
		return nil, &persistence.InvalidError{Field: "id", Reason: "and kind are too long", Size: size, Limit: persistence.MaxStreamName}
	}
	h := d.handlers[r.command]
	if r.reacts != nil {
		h = &d.reactions[r.reacts.Type].handler // which took the event
	}
	switch {
	case h == nil:
		return nil, &persistence.InvalidError{Field: "command", Reason: fmt.Sprintf("kind %s does not handle %s", r.kind, r.command)}
	case h.reply.GoType() != r.reply:
		return nil, &persistence.InvalidError{Field: "reply", Reason: fmt.Sprintf("%s is answered by %s, not by %s", h.command.Name(), h.reply.GoType(), r.reply)}
	case h.command.IsNil(r.message):
		return nil, &persistence.InvalidError{Field: "command", Reason: h.command.Name() + " is nil"}
	case r.ifVersion < persistence.Any:
		return nil, &persistence.InvalidError{Field: "version", Reason: "is out of range"}
	}
	return h, r.identify(s.config.NewCommandID)
}

// prepare makes a request a call.
func (s *System) prepare(ctx context.Context, r *Request, h *handler) (_ *call, err error) {
	defer s.caught(&err) // Enrich, and how the command is encoded
	origin := s.originOf(ctx)
	if err := origin.check(); err != nil {
		return nil, err
	}
	var content digest
	if r.class != generated {
		if content, err = digestOf(h, r.message); err != nil {
			return nil, err
		}
	}
	if r.logged != nil {
		r.logged.origin = origin
	}
	if err := ctx.Err(); err != nil {
		return nil, &persistence.UnavailableError{Reason: "the caller has left", Err: err}
	}
	c := s.calls.Get().(*call) //nolint:forcetypeassert // the pool holds nothing else
	c.key, c.handler, c.message = key{s.definitions[r.kind], r.aggregate}, h, r.message
	c.size = h.command.Size(r.message)
	if !s.config.TrustCallers {
		c.message = h.command.Clone(r.message)
	}
	c.left, c.origin, c.ifVersion, c.identity, c.digest = ctx.Done(), origin, r.ifVersion, r.identity, content
	c.reacts, c.verdict, c.fresh, c.asked = r.reacts, r.refused, r.fresh, s.confirmations.now()
	c.bound(ctx, s.config.AskTimeout)
	return c, nil
}

// await waits for the answer or for the caller's end, whichever comes first. Of
// the caller's context it reports the error and not the cause, which may be the
// error of another command and would be taken for this one's.
func (s *System) await(ctx context.Context, c *call, receipt *Receipt) (any, error) {
	var left *persistence.Error
	select {
	case <-c.answered:
		return s.received(c, receipt)
	case <-ctx.Done():
		left = unavailable(ReasonCallerLeft, ctx.Err())
	case <-c.timeout():
		left = unavailable(ReasonAskTimeout, context.DeadlineExceeded)
	case <-s.dead:
		left = unavailable(ReasonStopping, errSystemClosed)
	}
	if c.stage.CompareAndSwap(queued, abandoned) {
		return nil, c.wrap(left)
	}
	select {
	case <-c.answered:
		return s.received(c, receipt)
	default:
		left.Kind = persistence.ErrUnknownOutcome
		return nil, c.wrap(left)
	}
}

// Decode returns a stored event of an aggregate hosted here as the message that
// its On takes: for tools and tests that look at a history. Unlike [Command.Ask]
// it passes errors on as they are; one of kind [persistence.ErrCorrupt] means that
// the event's type or payload is unknown here. The event must have the form of
// today: one that is stored in an older form is to be upcast before.
func (s *System) Decode(recorded persistence.Recorded) (any, error) {
	kind := recorded.Stream.Category()
	d := s.definitions[kind]
	if d == nil {
		return nil, &unknownKindError{kind}
	}
	_, event, err := d.decode(&recorded)
	return event, err
}

func (s *System) received(c *call, receipt *Receipt) (any, error) {
	reply, err := c.reply, c.err
	if receipt != nil && err == nil {
		*receipt = c.receipt
	}
	if !c.astray {
		s.recycle(c)
	}
	return reply, err
}

func (s *System) recycle(c *call) {
	c.reset()
	s.calls.Put(c)
}

// unknownKindError reports a kind that nobody here defines.
type unknownKindError struct{ kind string }

func (e *unknownKindError) Error() string {
	return fmt.Sprintf("no aggregate of kind %q is defined here: list its definition in Config.Aggregates", e.kind)
}

// Is matches [persistence.ErrNotFound].
func (e *unknownKindError) Is(target error) bool { return target == persistence.ErrNotFound }
