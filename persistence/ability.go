package persistence

// Front is a journal that stands in front of another one: it does something of
// its own with some calls and passes the others on.
type Front interface {
	// Unwrap returns the journal behind.
	Unwrap() Journal
}

// As returns an optional ability of a journal, such as [Submitter] or
// [Transactor]. Whoever can use one asks once, in its constructor, and does
// without when there is none:
//
//	submitter, ok := persistence.As[persistence.Submitter](journal)
//
// A [Front] has an ability exactly when the journal behind it has: by its own
// methods if it has them, else by those of the journal behind. So a front that
// does something with appends must have the methods of every ability that appends,
// or else it is passed by. T may also be the type of the journal at the end, to
// reach what only that one can.
func As[T any](journal Journal) (ability T, ok bool) {
	own, ok := journal.(T)
	front, isFront := journal.(Front)
	if !isFront {
		return own, ok
	}
	behind, has := As[T](front.Unwrap())
	if ok && has {
		return own, true
	}
	return behind, has
}
