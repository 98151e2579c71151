package actors

// Decide binds a contract to a pure function in place of a method: given the state
// and the command it returns the events, or an error that stores nothing. The reply
// is made of the state after the events. Use it with [Evolve]:
//
//	var Accounts = actors.Define("account",
//		actors.Decide(Withdraw, withdraw, balance),
//		actors.Evolve(withdrawn),
//	)
//
//	func withdraw(a Account, c Withdraw) ([]any, error)
//	func balance(a Account) Balance
//	func withdrawn(a Account, e Withdrawn) Account
//
// Functions and methods, [Handle] and [On], may stand side by side in a definition.
// A decision that needs the time or an id takes it from the command, or is a method
// and takes it from [Tx].
func Decide[S, C, R any](contract Command[C, R], decide func(state S, command C) (events []any, err error), reply func(state S) R) Part[S] {
	return func(a *Aggregate[S]) {
		if decide == nil || reply == nil {
			Handle[S](contract, nil)(a)
			return
		}
		Handle(contract, func(state *S, tx *Tx, command C) (none R, err error) {
			events, err := decide(*state, command)
			if err != nil {
				return none, err
			}
			tx.Raise(events...)
			return reply(*state), nil
		})(a)
	}
}

// Evolve says how one type of event changes the state, as a pure function in place
// of a method: see [On].
func Evolve[S, E any](evolve func(state S, event E) S) Part[S] {
	if evolve == nil {
		return On[S, E](nil)
	}
	return On(func(state *S, event E) { *state = evolve(*state, event) })
}
