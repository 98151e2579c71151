// Package wire is the journal's half of the Postgres protocol, version 3: requests that
// are encoded by hand, values in their binary form, and a connection on which several
// requests are under way at a time.
//
//	var requests wire.Requests
//	requests.Bind(statement) // then a value for each parameter
//	requests.Int8(7)
//	requests.Execute()
//	requests.Sync()
//	err := conn.Send(requests.Bytes())
//	answer, err := conn.Receive(1)
//
// Encoding by hand costs a fifth of what the driver's reflection over arrays costs, and
// lets a whole batch go out in one write. All parameters and all results are binary.
//
// The package knows no statement, no table and no event.
package wire
