package actors

// The reasons are what [persistence.Error.Reason] holds when the error is one of the
// runtime: stable words for programs, finer than the kind of the error.
const (
	// ReasonDeadline: the deadline of the caller had passed, or was too near, when the
	// command was to be decided. Nothing was done.
	ReasonDeadline = "deadline"
	// ReasonJournal: the journal did not take the append. Nothing was done.
	ReasonJournal = "journal"
	// ReasonAppend: an append on which the command rested failed. Nothing was done.
	ReasonAppend = "append"
	// ReasonRecovery: the stream of the aggregate could not be read. Nothing was done.
	ReasonRecovery = "recovery"
	// ReasonCrash: the activation of the aggregate ended by a fault of the runtime, which
	// the log has. Whether the command was done, the kind of the error says.
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
	// ReasonReplyNotKept: the command was done before, and its reply was not stored, or is
	// not there any more.
	ReasonReplyNotKept = "reply-not-kept"
	// ReasonTooFarBack: the stream holds so many events after the time of the command that
	// they are not searched for it. Whether it was done is not known.
	ReasonTooFarBack = "too-far-back"
	// ReasonStreamChanged: the stream was deleted or replaced while the command was looked
	// for in it.
	ReasonStreamChanged = "stream-changed"
	// ReasonQuarantined: the aggregate has panicked too often and rests. Nothing was done;
	// RetryAfter says how long it rests.
	ReasonQuarantined = "quarantined"
	// ReasonTooManyActive: as many aggregates are active as the configuration allows, and
	// none can leave. Nothing was done.
	ReasonTooManyActive = "too-many-active"
	// ReasonMailboxFull: as many commands wait for the aggregate as the configuration
	// allows. Nothing was done.
	ReasonMailboxFull = "mailbox-full"
	// ReasonLookupsFull: as many repeated commands are being looked for as can be at a
	// time. Nothing was done.
	ReasonLookupsFull = "lookups-full"
	// ReasonRecoveriesFull: as many aggregates wait for being read as can wait. Nothing
	// was done.
	ReasonRecoveriesFull = "recoveries-full"
	// ReasonOtherCommand: the key or id of the command is that of another command, which
	// was done.
	ReasonOtherCommand = "other-command"
	// ReasonUnknownCommand: under the key or id of the command one was done whose name this
	// program does not know: it may be the same, as a newer program calls it. Ask that one with
	// the same key, or add the upcaster that renames the command.
	ReasonUnknownCommand = "unknown-command"
	// ReasonTooManySends: the aggregate has as many unfinished sends and timers as it can
	// have. Nothing was done.
	ReasonTooManySends = "too-many-sends"
	// ReasonTooManyPending: the node has as many unfinished sends and timers as the
	// configuration allows. Nothing was done.
	ReasonTooManyPending = "too-many-pending"
	// ReasonPanic: a handler, or what stands around commands, panicked or ended its
	// goroutine. Whether the command was done, the kind of the error says.
	ReasonPanic = "panic"
	// ReasonAround: what stands around commands returned an error. Whether the command was
	// done, the kind of the error says.
	ReasonAround = "around"
	// ReasonCallerLeft: the context of the caller ended while it waited. Whether the
	// command was done, the kind of the error says.
	ReasonCallerLeft = "caller-left"
	// ReasonAskTimeout: the command had no answer within the time that the configuration
	// allows. Whether it was done, the kind of the error says.
	ReasonAskTimeout = "ask-timeout"
	// ReasonTooManyInFlight: as many commands are under way on the node as the
	// configuration allows. Nothing was done.
	ReasonTooManyInFlight = "too-many-in-flight"
	// ReasonTooManyBytesInFlight: the commands under way on the node hold as many bytes as
	// the configuration allows. Nothing was done.
	ReasonTooManyBytesInFlight = "too-many-bytes-in-flight"
)
