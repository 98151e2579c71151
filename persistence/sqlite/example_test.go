package sqlite_test

import (
	"context"
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
