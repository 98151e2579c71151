package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
)

// object is a table, constraint, index, trigger or function of a schema, as the server
// describes it.
type object struct {
	Name       string // "trigger own on event"
	Of         string // the table or function that it belongs to, or is
	Definition string
}

// describe returns the objects of a schema, without the table in which migrations are
// noted. The definitions are the same in every schema.
func describe(ctx context.Context, conn *pgx.Conn, schema string) (_ []object, err error) {
	if conn.PgConn().TxStatus() == 'I' {
		if _, err := conn.Exec(ctx, pgsession.Writing); err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, rollback(ctx, conn)) }()
	}
	seen := "SET LOCAL search_path = pg_catalog, " + pgx.Identifier{schema}.Sanitize() + "; SET LOCAL quote_all_identifiers = off"
	if _, err := conn.PgConn().Exec(ctx, seen).ReadAll(); err != nil {
		return nil, err
	}
	rows, err := conn.Query(ctx, newStatements(schema).describe.SQL, pgx.QueryExecModeSimpleProtocol, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[object])
}

func rollback(ctx context.Context, conn *pgx.Conn) error {
	_, err := conn.Exec(ctx, "ROLLBACK")
	return err
}

// differences names the objects of a schema that are not as the migrations would make them.
// Further objects are ignored, unless they belong to the journal's tables or have the name
// of one of its functions.
func differences(ctx context.Context, conn *pgx.Conn, schema string) (found []string, err error) {
	have, err := describe(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	want, err := describeFresh(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	is := make(map[string]string, len(have))
	for _, o := range have {
		is[o.Name] = o.Definition
	}
	should, ours := make(map[string]bool, len(want)), map[string]bool{}
	for _, o := range want {
		should[o.Name], ours[o.Of] = true, true
		switch definition, there := is[o.Name]; {
		case !there:
			found = append(found, o.Name+" is missing")
		case definition != o.Definition:
			found = append(found, o.Name+" differs")
		}
	}
	for _, o := range have {
		if !should[o.Name] && ours[o.Of] {
			found = append(found, o.Name+" is not of the journal")
		}
	}
	slices.Sort(found)
	return found, nil
}

// describeFresh returns the objects that the migrations make. They name the order lock of
// the schema that they are compared with.
func describeFresh(ctx context.Context, conn *pgx.Conn, schema string) (objects []object, err error) {
	name := "stele_fresh_" + strings.ReplaceAll(persistence.NewEventID().String(), "-", "")
	if _, err := conn.Exec(ctx, pgsession.Writing); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rollback(ctx, conn)) }()
	for _, s := range steps(name, "{lock}", lockText(schema)) {
		if _, err := conn.PgConn().Exec(ctx, s.do).ReadAll(); err != nil {
			return nil, err
		}
	}
	return describe(ctx, conn, name)
}
