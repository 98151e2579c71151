package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/postgres"
)

func Example() {
	ctx := context.Background()
	url, stop := throwAwayServer(ctx)
	defer stop()

	config := postgres.Config{URL: url, Durability: postgres.Relaxed} // a server for tests does not flush
	_, err := postgres.Open(ctx, config)
	fmt.Println(errors.Is(err, persistence.ErrTables)) // nothing is migrated by itself
	if err := postgres.Migrate(ctx, config); err != nil {
		log.Fatal(err)
	}
	journal, err := postgres.Open(ctx, config)
	if err != nil {
		log.Fatal(err)
	}
	defer journal.Close()

	opened := persistence.Append{Stream: "account-ann", Expected: persistence.NoStream, Events: []persistence.Event{{Type: "opened"}}}
	for range 2 {
		outcomes, err := journal.Append(ctx, opened)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(outcomes[0].Last, outcomes[0].Err)
	}
	for recorded, err := range journal.Read(ctx, "account-ann", persistence.ReadOptions{}) {
		fmt.Println(recorded.Position, recorded.Type, err)
	}
	// Output:
	// true
	// 1 <nil>
	// 0 conflict on account-ann: expected no stream, found version 1
	// 1 opened <nil>
}

func throwAwayServer(ctx context.Context) (url string, stop func()) {
	server, err := pgserver.Start(ctx)
	if err != nil {
		log.Fatal(err)
	}
	return server.URL(), func() { _ = server.Stop() }
}
