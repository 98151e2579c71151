package postgres

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgsession"
	"github.com/stele-es/stele/persistence"
)

// object is a table, constraint, index or function of a schema and how the server
// describes it.
type object struct {
	Name       string // "function append"
	Definition string
}

// describe returns what is in a schema, but for what tools note their migrations in.
func describe(ctx context.Context, conn *pgx.Conn, schema string) ([]object, error) {
	rows, err := conn.Query(ctx, newStatements(schema).describe, pgx.QueryExecModeSimpleProtocol, schema)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[object])
}

// differences names what is not in a schema as the migrations would make it.
func differences(ctx context.Context, conn *pgx.Conn, schema string) (found []string, err error) {
	have, err := describe(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	want, err := fresh(ctx, conn, schema)
	if err != nil {
		return nil, err
	}
	is, should := plain(have, schema), plain(want.objects, want.schema)
	for name := range maps.Keys(should) {
		switch definition, there := is[name]; {
		case !there:
			found = append(found, name+" is missing")
		case definition != should[name]:
			found = append(found, name+" differs")
		}
	}
	for name := range maps.Keys(is) {
		if _, known := should[name]; !known {
			found = append(found, name+" is not of the journal")
		}
	}
	slices.Sort(found)
	return found, nil
}

// plain are objects by name, without the name of their schema, which the server
// quotes only where it must.
func plain(objects []object, schema string) map[string]string {
	quoted := pgx.Identifier{schema}.Sanitize()
	all := make(map[string]string, len(objects))
	for _, o := range objects {
		definition := strings.ReplaceAll(o.Definition, quoted+".", ".")
		all[o.Name] = strings.ReplaceAll(definition, schema+".", ".")
	}
	return all
}

type freshSchema struct {
	schema  string
	objects []object
}

// fresh describes what the migrations make. The order lock is that of the schema
// they are for.
func fresh(ctx context.Context, conn *pgx.Conn, schema string) (f freshSchema, err error) {
	f.schema = "stele_fresh_" + strings.ReplaceAll(persistence.NewEventID().String(), "-", "")
	if _, err := conn.Exec(ctx, pgsession.Writing); err != nil {
		return f, err
	}
	defer func() {
		if _, rollback := conn.Exec(ctx, "ROLLBACK"); err == nil {
			err = rollback
		}
	}()
	for _, s := range steps(f.schema) {
		do := strings.ReplaceAll(s.do, lockText(f.schema), lockText(schema))
		if _, err := conn.PgConn().Exec(ctx, do).ReadAll(); err != nil {
			return f, err
		}
	}
	f.objects, err = describe(ctx, conn, f.schema)
	return f, err
}
