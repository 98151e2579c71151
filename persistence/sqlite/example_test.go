package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"

	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/sqlite"
)

func ExampleOpen() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "stele")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)

	journal, err := sqlite.Open(ctx, sqlite.Config{Path: filepath.Join(directory, "bank.db")})
	if err != nil {
		panic(err)
	}
	defer journal.Close()
	outcomes, err := journal.Append(ctx, persistence.Append{
		Stream:   "account-ann",
		Expected: persistence.NoStream,
		Events:   []persistence.Event{{Type: "opened"}, {Type: "deposited", Payload: []byte("100")}},
	})
	if err != nil {
		panic(err)
	}
	fmt.Println("stored up to version", outcomes[0].Last)
	for recorded, err := range journal.Read(ctx, "account-ann", persistence.ReadOptions{}) {
		if err != nil {
			panic(err)
		}
		fmt.Println(recorded.Version, recorded.Type)
	}
	// Output:
	// stored up to version 2
	// 1 opened
	// 2 deposited
}

func ExampleJournal_AppendTx() {
	ctx := context.Background()
	directory, err := os.MkdirTemp("", "stele")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(directory)
	path := filepath.Join(directory, "bank.db")
	journal, err := sqlite.Open(ctx, sqlite.Config{Path: path})
	if err != nil {
		panic(err)
	}
	defer journal.Close()
	db, err := sql.Open("sqlite", "file:"+path+"?_txlock=immediate&_pragma=busy_timeout(5000)")
	if err != nil {
		panic(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(ctx, "CREATE TABLE owner (account TEXT PRIMARY KEY, name TEXT)"); err != nil {
		panic(err)
	}

	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		panic(err)
	}
	defer tx.Rollback()
	if _, err := tx.ExecContext(ctx, "INSERT INTO owner VALUES ('account-ann', 'Ann')"); err != nil {
		panic(err)
	}
	opened := persistence.Append{Stream: "account-ann", Expected: persistence.NoStream, Events: []persistence.Event{{Type: "opened"}}}
	outcomes, err := journal.AppendTx(ctx, tx, opened)
	if err != nil {
		panic(err)
	}
	if err := tx.Commit(); err != nil {
		panic(err)
	}
	journal.Nudge()

	fmt.Println("stored at position", outcomes[0].Position)
	// Output:
	// stored at position 1
}
