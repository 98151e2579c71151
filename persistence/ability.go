package persistence

// Front is a journal that stands in front of another one: it does something of
// its own with some calls and passes the others on.
type Front interface {
	// Unwrap returns the journal behind.
	Unwrap() Journal
}

// As returns an optional ability of a journal, such as [Submitter] or [Transactor]. A
// part that can use an ability asks for it once, in its constructor, and works without it
// otherwise:
//
//	submitter, ok := persistence.As[persistence.Submitter](journal)
//
// A [Front] has an ability exactly when the journal behind it has it: with the front's
// own methods if it has them, otherwise with those of the journal behind. So a front that
// changes appends must have the methods of every ability that appends; callers would go
// around it otherwise. T may also be the type of the journal at the end, to reach methods
// that only this journal has.
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
