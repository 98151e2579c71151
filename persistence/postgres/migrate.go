package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
)

// Migrate brings the schema of a journal up to date, and makes it when it is
// missing. It is what Config.Migrate does at Open. Calls at the same time, from
// any machine, take turns. The role needs the right to create the schema and
// owns all that is made. A connection pooler in between must pool by session.
func Migrate(ctx context.Context, config Config) error {
	config, err := config.normal()
	if err != nil {
		return fmt.Errorf("migrate the journal: %w", err)
	}
	connect := config.Pool.ConnConfig.Copy()
	// The tool's own table is named without a schema.
	connect.RuntimeParams["search_path"] = pgx.Identifier{config.Schema}.Sanitize()
	db := stdlib.OpenDB(*connect)
	defer db.Close()

	locked, err := db.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate the journal: %w", unavailable("the server cannot be reached", err))
	}
	defer locked.Close() // and with the session its lock
	if err := migrate(ctx, db, locked, config.Schema); err != nil {
		return fmt.Errorf("migrate the journal: %w", public(err))
	}
	return nil
}

func migrate(ctx context.Context, db *sql.DB, locked *sql.Conn, schema string) error {
	if err := lockMigrations(ctx, locked, schema); err != nil {
		return err
	}
	// Whoever may not create schemas may not say IF NOT EXISTS either.
	var exists bool
	if err := locked.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", schema).Scan(&exists); err != nil {
		return err
	}
	if !exists {
		if _, err := locked.ExecContext(ctx, "CREATE SCHEMA "+pgx.Identifier{schema}.Sanitize()); err != nil {
			return err
		}
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, migrations(schema),
		goose.WithTableName("migration"), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return err
	}
	_, err = provider.Up(ctx)
	return err
}

// lockMigrations asks again and again instead of waiting in the server: a
// waiting statement holds a snapshot, which some migrations would wait for.
func lockMigrations(ctx context.Context, conn *sql.Conn, schema string) error {
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for {
		var taken bool
		// The second key keeps it apart from the order locks of partitions.
		if err := conn.QueryRowContext(ctx, "SELECT pg_try_advisory_lock($1, -1)", lockKey(schema)).Scan(&taken); err != nil || taken {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-poll.C:
		}
	}
}
