package pgsession

import (
	"context"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stele-es/stele/persistence"
)

// Server says which of several servers a session may be on.
type Server int

const (
	// Any is any server, also a standby.
	Any Server = iota
	// Primary is a server that is no standby. It may be read-only for the role.
	Primary
	// Writable is a primary that takes writes of the role.
	Writable
)

// Options say what a session is for.
type Options struct {
	// Name is the program's name for the server, unless the configuration has one.
	Name string
	// Server says which server the session needs, unless the configuration says it itself,
	// by target_session_attrs or a function. Of several hosts the first such server is
	// taken.
	Server Server
	// Pooler says that a pooler that pools by transaction stands between, which refuses
	// most settings in a startup message.
	Pooler bool
	// Durable refuses a session whose commits are not flushed before they are answered.
	Durable bool
	// Planner gives the session the plans and the search path of the journal's statements.
	Planner bool
}

// Prepare changes a configuration so that its sessions are as this package says.
// [Unreachable] translates the error of a session that cannot begin.
func Prepare(config *pgx.ConnConfig, o Options) {
	if config.RuntimeParams["application_name"] == "" && o.Name != "" {
		config.RuntimeParams["application_name"] = o.Name
	}
	settings := startup(o)
	maps.DeleteFunc(config.RuntimeParams, func(name, _ string) bool {
		_, ours := settings[strings.ToLower(name)]
		return ours
	})
	maps.Copy(config.RuntimeParams, settings)
	wanted := config.ValidateConnect
	config.ValidateConnect = func(ctx context.Context, conn *pgconn.PgConn) error {
		server := o.Server
		if wanted != nil {
			if err := wanted(ctx, conn); err != nil {
				return err
			}
			server = Any
		}
		return prove(ctx, conn, o, server)
	}
}

// Prove returns an error unless a session is as it should be. It is for a session that
// somebody else has changed since it began.
func Prove(ctx context.Context, conn *pgconn.PgConn, o Options) error {
	return prove(ctx, conn, o, o.Server)
}

func prove(ctx context.Context, conn *pgconn.PgConn, o Options, server Server) error {
	results, err := conn.Exec(ctx, proveSQL(o)).ReadAll()
	if err != nil {
		return err
	}
	last := results[len(results)-1]
	if len(last.Rows) != 1 || len(last.Rows[0]) != len(needs)+2 {
		return &ServerError{Code: "XX000"}
	}
	row := last.Rows[0]
	standby, readOnly := string(row[len(needs)]) == "t", string(row[len(needs)+1]) == "on"
	switch {
	case server != Any && standby:
		return &UnfitError{Code: ReadOnly, Reason: "the server is a standby and cannot store events: name all servers in the URL, and the one that can is found"}
	case server == Writable && readOnly:
		return &UnfitError{Code: ReadOnly, Reason: "the role or the database is read-only: default_transaction_read_only is on"}
	}
	for i, n := range needs {
		if value := string(row[i]); !n.met(value) && o.needs(n) {
			return &persistence.InvalidError{Field: "session", Reason: fmt.Sprintf("has %s = %s, which %s", n.name, value, n.which)}
		}
	}
	return nil
}

// needs reports whether sessions with these options must have a setting. Those with Planner
// are the journal's.
func (o Options) needs(n need) bool {
	switch n.name {
	case "client_encoding":
		return true
	case "synchronous_commit":
		return o.Durable
	}
	return o.Planner
}
