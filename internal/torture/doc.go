// Package torture tries to make a Postgres journal break its promises: it writes
// and reads through many nodes at once while connections are cut, backends are
// killed and the server crashes, and then compares what writers were told and
// readers were given with the rows of the tables.
//
//	report, err := torture.Order{Target: target, Connections: 64, Duration: time.Minute}.Run(ctx)
//	fmt.Println(report)
//	if len(report.Faults) > 0 { … }
//
// There are three programs. [Order] has many connections write into one sequence,
// with delays before commits, rollbacks and a foreign transaction that stays open,
// under subscriptions of every kind. [Crash] shuts the server down under load, so
// that only what was flushed is left. [Path] drives pipelined appends of two nodes
// through a proxy that cuts messages. All decisions are drawn from a seed; how
// goroutines and processes interleave is not, so a seed that has found something
// may need some rounds to find it again.
//
// The check reads tables by SQL of its own and knows events by what their payload
// says, so it shares neither code nor ids with what it judges. The package knows
// no journal but through [Opener]; it does not make databases.
package torture
