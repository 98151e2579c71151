package actors

// The reasons in [persistence.Error.Reason], when the error comes from the runtime: stable
// words for programs, finer than the kind of the error.
const (
	// ReasonDeadline: the deadline of the caller had passed, or was too near, when the
	// command was to be decided. Nothing was done.
	ReasonDeadline = "deadline"
	// ReasonJournal: the journal did not take the append. Nothing was done.
	ReasonJournal = "journal"
	// ReasonAppend: the append of an earlier command failed, on whose events this command was
	// decided. Nothing was done.
	ReasonAppend = "append"
	// ReasonRecovery: the stream of the aggregate could not be read. Nothing was done.
	ReasonRecovery = "recovery"
	// ReasonCrash: the activation of the aggregate ended by a fault of the runtime, which is
	// in the log. The kind of the error says whether the command was done.
	ReasonCrash = "crash"
	// ReasonWouldBeLate: so many commands wait before this one that it would be decided
	// after its deadline. Nothing was done; RetryAfter says when it would be in time.
	ReasonWouldBeLate = "would-be-late"
	// ReasonStopping: the node is being stopped. Ask another one.
	ReasonStopping = "stopping"
	// ReasonNotHosted: the kind of the aggregate that a command was sent to is hosted on
	// no node that could be asked.
	ReasonNotHosted = "not-hosted"
	// ReasonReplyCorrupt: the command was done before, and its stored reply cannot be
	// decoded by this program.
	ReasonReplyCorrupt = "reply-corrupt"
	// ReasonReplyNotKept: the command was done before, and its reply was not stored, or was
	// truncated.
	ReasonReplyNotKept = "reply-not-kept"
	// ReasonTooFarBack: too many events follow the time of the command to search them for it.
	// It is not known whether the command was done.
	ReasonTooFarBack = "too-far-back"
	// ReasonStreamChanged: the stream was deleted or replaced while it was searched for the
	// command.
	ReasonStreamChanged = "stream-changed"
	// ReasonQuarantined: handlers of the aggregate have panicked too often. Nothing was done;
	// RetryAfter says how long the aggregate stays in quarantine.
	ReasonQuarantined = "quarantined"
	// ReasonTooManyActive: as many aggregates are in memory as the configuration allows, and
	// all are busy. Nothing was done.
	ReasonTooManyActive = "too-many-active"
	// ReasonMailboxFull: as many commands wait for the aggregate as the configuration
	// allows. Nothing was done.
	ReasonMailboxFull = "mailbox-full"
	// ReasonLookupsFull: as many repeated commands are being looked for as can be at a
	// time. Nothing was done.
	ReasonLookupsFull = "lookups-full"
	// ReasonRecoveriesFull: as many aggregates wait to be read as can wait. Nothing was
	// done.
	ReasonRecoveriesFull = "recoveries-full"
	// ReasonOtherCommand: the key or id of the command is that of another command, which
	// was done.
	ReasonOtherCommand = "other-command"
	// ReasonUnknownCommand: a command was done under this key or id whose stored name this
	// program does not know. It may be the same command under the name of a newer program.
	// Ask the newer program with the same key, or add the upcaster that renames the command.
	ReasonUnknownCommand = "unknown-command"
	// ReasonTooManySends: the aggregate has as many unfinished sends and timers as it can
	// have. Nothing was done.
	ReasonTooManySends = "too-many-sends"
	// ReasonTooManyPending: the node has as many unfinished sends and timers as the
	// configuration allows. Nothing was done.
	ReasonTooManyPending = "too-many-pending"
	// ReasonPanic: a handler, or a function of Config.Around, panicked or ended its
	// goroutine. The kind of the error says whether the command was done.
	ReasonPanic = "panic"
	// ReasonAround: a function of Config.Around returned an error. The kind of the error says
	// whether the command was done.
	ReasonAround = "around"
	// ReasonCallerLeft: the context of the caller ended while it waited. The kind of the error
	// says whether the command was done.
	ReasonCallerLeft = "caller-left"
	// ReasonAskTimeout: the command had no answer within Config.AskTimeout. The kind of the
	// error says whether it was done.
	ReasonAskTimeout = "ask-timeout"
	// ReasonTooManyInFlight: as many commands are under way on the node as the
	// configuration allows. Nothing was done.
	ReasonTooManyInFlight = "too-many-in-flight"
	// ReasonTooManyBytesInFlight: the commands under way on the node hold as many bytes as
	// the configuration allows. Nothing was done.
	ReasonTooManyBytesInFlight = "too-many-bytes-in-flight"
)
