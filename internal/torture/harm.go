package torture

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// The names under which connections appear in the server. Those of journals go by
// the name that journals take.
const (
	callerName  = "torture caller"
	foreignName = "torture foreign"
	journalName = "stele"
)

// connect opens a connection that goes by a name.
func connect(ctx context.Context, url, name string) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	config.RuntimeParams["application_name"] = name
	return pgx.ConnectConfig(ctx, config)
}

func execute(ctx context.Context, url, sql string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// headOf reads the last position from the table itself.
func headOf(ctx context.Context, url string) (head int64, err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return 0, err
	}
	defer conn.Close(ctx)
	return head, conn.QueryRow(ctx, "SELECT coalesce(max(position), 0) FROM stele.event").Scan(&head)
}

// killer ends backends of the named programs, one at every turn. Three of four
// times it takes one that appends. On a slow machine it waits until something has
// been stored since, or nothing ever would be.
type killer struct {
	url    string
	names  []string
	every  time.Duration
	ledger *ledger
	lots   *rand.Rand

	killed int
	err    error // why it could not go on
}

// run kills until ctx is done. The program that started it waits for its end.
func (k *killer) run(ctx context.Context) {
	conn, err := connect(context.WithoutCancel(ctx), k.url, "torture killer")
	if err != nil {
		k.err = err
		return
	}
	defer conn.Close(context.WithoutCancel(ctx))
	due := 0
	for pause(ctx, k.every) {
		if k.ledger.acknowledged() < due {
			continue
		}
		due = k.ledger.acknowledged() + killedPer
		var ended bool
		err := conn.QueryRow(context.WithoutCancel(ctx), `SELECT count(pg_terminate_backend(pid)) > 0 FROM (
			SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND application_name = ANY ($1)
			ORDER BY (query ~ 'append' OR application_name <> $2) AND $3 DESC, md5(pid::text || $4) LIMIT 1) victim`,
			k.names, journalName, k.lots.IntN(4) > 0, fmt.Sprint(k.lots.Int64())).Scan(&ended)
		if err != nil {
			k.err = fmt.Errorf("kill a backend: %w", err)
			return
		}
		if ended {
			k.killed++
		}
	}
}

// killedPer is the least number of appends that are stored between two kills.
const killedPer = 20

// openForeign begins a transaction that has nothing to do with the journal: it has
// a snapshot, a transaction id, rows and locks, and does nothing more until it is
// closed.
func openForeign(ctx context.Context, url string) (end func(), err error) {
	conn, err := connect(ctx, url, foreignName)
	if err != nil {
		return nil, err
	}
	for _, sql := range []string{
		"BEGIN ISOLATION LEVEL REPEATABLE READ",
		"SELECT count(*) FROM stele.event",
		"INSERT INTO torture.note (id) VALUES (-1)",
		"SELECT pg_current_xact_id()",
	} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			_ = conn.Close(ctx) // the error says more
			return nil, err
		}
	}
	return func() { _ = conn.Close(context.WithoutCancel(ctx)) }, nil
}
