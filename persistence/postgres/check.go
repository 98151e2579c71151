package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/journalkit"
	"github.com/stele-es/stele/persistence/postgres/internal/wire"
)

// longTransaction is the time for which others may leave a transaction open.
const longTransaction = 5 * time.Minute

// Check fulfils [persistence.Checker]. It examines the server and its settings, the schema,
// the rights of the role, poolers in between, transactions that others leave open, the
// write-ahead log, events and streams. A full check also compares the schema with what the
// migrations make; for that the role needs the right to create schemas.
func (j *Journal) Check(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	return j.examine(ctx, options, longTransaction)
}

func (j *Journal) examine(ctx context.Context, options persistence.CheckOptions, long time.Duration) ([]persistence.Finding, error) {
	if ctx.Err() != nil {
		return nil, journalkit.CallerLeft(ctx)
	}
	if j.head.IsClosed() {
		return nil, journalkit.Closed()
	}
	pooler, err := j.checkPooler(ctx)
	if err != nil {
		return nil, fmt.Errorf("check the journal: %w", err)
	}
	all := []persistence.Finding{pooler}
	if pooler.Severity == persistence.Fault {
		return all, nil // further questions may get a wrong answer, or none
	}
	for _, examination := range []func() ([]persistence.Finding, error){
		func() ([]persistence.Finding, error) { return j.checkSettings(ctx, long) },
		func() ([]persistence.Finding, error) { return j.checkWritable(ctx) },
		func() ([]persistence.Finding, error) { return j.checkLog(ctx) },
		func() ([]persistence.Finding, error) { return j.checkTables(ctx, options) },
		func() ([]persistence.Finding, error) { return j.checkRights(ctx) },
		func() ([]persistence.Finding, error) { return j.checkStreams(ctx, options) },
		func() ([]persistence.Finding, error) {
			events, err := journalkit.CheckEvents(ctx, j, options)
			return []persistence.Finding{events}, err
		},
	} {
		findings, err := examination()
		if err != nil {
			return nil, fmt.Errorf("check the journal: %w", err)
		}
		all = append(all, findings...)
	}
	for i := range all {
		if all[i].Severity == persistence.Fine {
			all[i].Fix = ""
		}
	}
	return all, nil
}

// findings runs a statement whose rows are findings: check, severity, text and fix. fine has
// the texts of checks about which there is no row.
func (j *Journal) findings(ctx context.Context, s wire.Statement, fine map[string]string, parameters ...[]byte) ([]persistence.Finding, error) {
	rows, err := j.ask(ctx, s, parameters...)
	if err != nil {
		return nil, err
	}
	var found []persistence.Finding
	for _, row := range rows {
		severity, err := persistence.ParseSeverity(string(row[1]))
		if err != nil {
			return nil, err
		}
		found = append(found, persistence.Finding{Severity: severity, Check: string(row[0]), Text: string(row[2]), Fix: string(row[3])})
	}
	for _, check := range slices.Sorted(maps.Keys(fine)) {
		if !slices.ContainsFunc(found, func(f persistence.Finding) bool { return f.Check == check }) {
			found = append(found, persistence.Finding{Check: check, Text: fine[check]})
		}
	}
	return found, nil
}

func (j *Journal) checkSettings(ctx context.Context, long time.Duration) ([]persistence.Finding, error) {
	event := pgx.Identifier{j.config.Schema, "event"}.Sanitize()
	found, err := j.findings(ctx, j.sql.checkServer, map[string]string{
		"transactions": "none is open for long", "order lock": "nobody waits for it",
	}, wire.Int8(int64(long/time.Second)), []byte(event))
	for i := range found {
		f := &found[i]
		if f.Check == "durability" && f.Severity == persistence.Fault && j.config.Durability == Relaxed {
			f.Severity = persistence.Warning // the configuration asks for it
			f.Text += ", which Config.Durability allows"
		}
	}
	return found, err
}

// checkWritable checks that a session which begins now may write. Sessions that are open may
// have begun before a change of the settings.
func (j *Journal) checkWritable(ctx context.Context) ([]persistence.Finding, error) {
	conn, err := connectOnce(ctx, j.config, j.config.writing)
	if err == nil {
		return nil, conn.Close(ctx)
	}
	if unfit, ok := errors.AsType[*persistence.UnavailableError](err); ok && strings.Contains(unfit.Reason, "read-only") {
		return []persistence.Finding{{
			Severity: persistence.Fault, Check: "server", Text: unfit.Reason,
			Fix: "find out who has set it, and set it to off for the role and the database",
		}}, nil
	}
	return nil, err
}

// checkLog reports the size of the write-ahead log where the role may see it.
func (j *Journal) checkLog(ctx context.Context) ([]persistence.Finding, error) {
	found, err := j.findings(ctx, j.sql.checkWAL, nil)
	if answered, ok := errors.AsType[*serverError](err); ok && answered.Code == pgsession.NotPermitted {
		return []persistence.Finding{{
			Severity: persistence.Note, Check: "write-ahead log", Text: "the role does not see how large it is", Fix: "GRANT pg_monitor to it",
		}}, nil
	}
	return found, err
}

func (j *Journal) checkTables(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	finding := persistence.Finding{Check: "schema"}
	err := j.withConn(ctx, func(conn *pgx.Conn) error {
		var have int64
		err := conn.QueryRow(ctx, j.sql.migration.SQL, pgx.QueryExecModeSimpleProtocol).Scan(&have)
		switch {
		case err != nil:
			return err
		case have < newest():
			finding.Severity, finding.Fix = persistence.Fault, fixSchema
			finding.Text = fmt.Sprintf("at migration %d, this program needs %d", have, newest())
			return nil
		case have > newest():
			finding.Severity = persistence.Note
			finding.Text = fmt.Sprintf("at migration %d, this program knows %d: a later release has migrated it", have, newest())
			return nil
		}
		finding.Text = fmt.Sprintf("at migration %d", have)
		if !options.Full {
			return nil
		}
		differ, err := differences(ctx, conn, j.config.Schema)
		if answered, ok := errors.AsType[*pgconn.PgError](err); ok && answered.Code == pgsession.NotPermitted {
			finding.Severity = persistence.Note
			finding.Text += ", not compared with what the migrations make, because the role may not create schemas"
			finding.Fix = "run postgres.Validate as the owner"
			return nil
		}
		if len(differ) > 0 {
			finding.Severity, finding.Text = persistence.Fault, "changed by hand: "+strings.Join(differ, ", ")
			finding.Fix = "make it as postgres.MigrationSQL says"
		}
		return err
	})
	return []persistence.Finding{finding}, readError(ctx, err)
}

func (j *Journal) checkRights(ctx context.Context) ([]persistence.Finding, error) {
	return j.findings(ctx, j.sql.checkRights, map[string]string{
		"rights": "the role appends and cannot rewrite, and others can do nothing",
	}, wire.Texts(appFunctions), []byte(j.config.Schema), wire.Texts(slices.Concat(appFunctions, adminFunctions, readFunctions)))
}

// checkPooler finds a pooler by what it cannot hide: the server's process is not the one that
// the connection was told at its beginning, another connection has the same process, or the
// same connection later has another process.
func (j *Journal) checkPooler(ctx context.Context) (found persistence.Finding, _ error) {
	first, err := connectOnce(ctx, j.config, j.config.Pool.ConnConfig)
	if err != nil {
		return found, err
	}
	defer first.Close(context.WithoutCancel(ctx))
	second, err := connectOnce(ctx, j.config, j.config.Pool.ConnConfig)
	if err != nil {
		return found, err
	}
	defer second.Close(context.WithoutCancel(ctx))
	prepares := j.config.Protocol == ProtocolPrepared
	if prepares {
		if _, err := first.PgConn().Prepare(ctx, "stele_probe", "SELECT 1", nil); err != nil {
			return found, readError(ctx, err)
		}
	}
	pids, err := processesOf(ctx, first, second)
	if err != nil {
		return found, err
	}
	forgets := false
	if prepares {
		err := first.PgConn().ExecPrepared(ctx, "stele_probe", nil, nil, nil).Read().Err
		answered, ok := errors.AsType[*pgconn.PgError](err)
		if forgets = ok && answered.Code == "26000"; err != nil && !forgets {
			return found, readError(ctx, err)
		}
	}
	between, byTransaction := first.PgConn().PID() != pids[0], pids[0] == pids[1] || pids[0] != pids[2]
	return j.poolerFinding(between, byTransaction, forgets), nil
}

// processesOf returns the server's process of the first connection, that of the second one,
// which then keeps it in a transaction, and that of the first one again.
func processesOf(ctx context.Context, first, second *pgx.Conn) (pids [3]uint32, err error) {
	for i, ask := range []struct {
		conn *pgx.Conn
		sql  string
	}{{first, ""}, {second, "BEGIN;"}, {first, ""}} {
		results, err := ask.conn.PgConn().Exec(ctx, ask.sql+"SELECT pg_backend_pid()").ReadAll()
		if err != nil {
			return pids, readError(ctx, err)
		}
		pid, err := strconv.ParseUint(string(results[len(results)-1].Rows[0][0]), 10, 32)
		if err != nil {
			return pids, wire.ErrUndecodable
		}
		pids[i] = uint32(pid)
	}
	return pids, nil
}

func (j *Journal) poolerFinding(between, byTransaction, forgets bool) persistence.Finding {
	f := persistence.Finding{Check: "pooler", Text: "connections go to the server"}
	switch {
	case forgets:
		f.Severity = persistence.Fault
		f.Text = "a pooler gives each transaction another process of the server and knows no prepared statements"
		f.Fix = "set Config.Pooler and leave Config.Protocol alone, or set max_prepared_statements of PgBouncer 1.21 or newer"
	case byTransaction && !j.config.Pooler:
		f.Severity = persistence.Fault
		f.Text, f.Fix = "a pooler gives each transaction another process of the server", "set Config.Pooler"
	case byTransaction:
		f.Text = "a pooler gives each transaction another process of the server, as Config.Pooler says"
	case between && !j.config.Pooler:
		f.Severity = persistence.Note
		f.Text = "a pooler or proxy stands between: the journal may end the wrong connection, or none, when it finds out about a lost append"
		f.Fix = "set Config.Pooler, or connect to the server"
	case !between && j.config.Pooler:
		f.Severity = persistence.Note
		f.Text = "connections go to the server, though Config.Pooler says otherwise: appends whose connection is lost may stay unknown without need"
		f.Fix = "do not set Config.Pooler"
	}
	return f
}

// checkStreams examines the newest streams, or all of them.
func (j *Journal) checkStreams(ctx context.Context, options persistence.CheckOptions) ([]persistence.Finding, error) {
	rows, err := j.ask(ctx, j.sql.lastStream)
	if err != nil {
		return nil, err
	}
	last, _ := wire.ReadInt8(rows[0][0]) // NULL without a stream
	after, versions := int64(0), []byte(nil)
	if !options.Full {
		after, versions = max(0, last-journalkit.CheckedStreams), wire.Int8(journalkit.CheckedVersions)
	}
	var faults []string
	for after < last {
		rows, err := j.ask(ctx, j.sql.checkStreams, wire.Int8(after), wire.Int8(journalkit.CheckedStreams), versions)
		if err != nil {
			return nil, err
		}
		var ok bool
		if after, ok = wire.ReadInt8(rows[0][0]); !ok {
			break // the last ones were never committed
		}
		if rows[0][1] != nil {
			faults = append(faults, strings.Split(string(rows[0][1]), "\n")...)
		}
	}
	return []persistence.Finding{journalkit.StreamsFinding(faults, options)}, nil
}
