package prooph_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/jackc/pgx/v5"

	"github.com/stele-es/stele/internal/pgtest/pgserver"
	"github.com/stele-es/stele/persistence"
	"github.com/stele-es/stele/persistence/memory"
	"github.com/stele-es/stele/persistence/prooph"
)

// A table of two users, one of which has lost an event, becomes two streams.
func Example() {
	ctx := context.Background()
	url, stop := proophDatabase(ctx)
	defer stop()
	journal := memory.New(memory.Config{})
	defer journal.Close()
	config := prooph.Config{URL: url, Split: true}

	report, err := prooph.Check(ctx, config) // stores nothing
	if err != nil {
		log.Fatal(err)
	}
	for _, finding := range report.Findings {
		fmt.Println(finding)
	}

	config.Policies = prooph.Policies{prooph.Hole: prooph.Mend}
	report, err = prooph.Import(ctx, journal, config)
	fmt.Println(report.Stored, "events in", report.Streams, "streams,", report.Renumbered, "renumbered", err)
	for recorded := range journal.Read(ctx, "user-ann", persistence.ReadOptions{}) {
		fmt.Println(recorded.Version, recorded.Type, string(recorded.Payload), recorded.At.Format("2006-01-02"))
	}
	_, err = prooph.Import(ctx, journal, config) // again: what is there is passed over
	fmt.Println(err)
	// Output:
	// refuse: version hole 3 in "event_stream" row 3 of "user-ann"
	// 3 events in 2 streams, 1 renumbered <nil>
	// 1 registered {"name":"Ann"} 2017-03-04
	// 2 renamed {"name":"Anna"} 2017-03-06
	// <nil>
}

// proophDatabase is a throw-away server with a table by the single-stream strategy.
func proophDatabase(ctx context.Context) (url string, stop func()) {
	server, err := pgserver.Start(ctx)
	if err != nil {
		log.Fatal(err)
	}
	conn, err := pgx.Connect(ctx, server.URL())
	if err != nil {
		log.Fatal(err)
	}
	table, listed := tableOf("event_stream")
	_, err = conn.Exec(ctx, `
		CREATE TABLE event_streams (no bigserial PRIMARY KEY, real_stream_name varchar(150) NOT NULL, stream_name char(41) NOT NULL UNIQUE, metadata jsonb, category varchar(150));
		INSERT INTO event_streams (real_stream_name, stream_name, metadata) VALUES ('event_stream', '`+listed+`', '[]');
		CREATE TABLE `+table+` (no bigserial PRIMARY KEY, event_id uuid NOT NULL UNIQUE, event_name varchar(100) NOT NULL, payload json NOT NULL, metadata jsonb NOT NULL, created_at timestamp(6) NOT NULL);
		CREATE UNIQUE INDEX ON `+table+` ((metadata->>'_aggregate_type'), (metadata->>'_aggregate_id'), (metadata->>'_aggregate_version'));
		INSERT INTO `+table+` (event_id, event_name, payload, metadata, created_at) VALUES
		  (gen_random_uuid(), 'registered', '{"name":"Ann"}', '{"_aggregate_type": "user", "_aggregate_id": "ann", "_aggregate_version": 1}', '2017-03-04'),
		  (gen_random_uuid(), 'registered', '{"name":"Bob"}', '{"_aggregate_type": "user", "_aggregate_id": "bob", "_aggregate_version": 1}', '2017-03-05'),
		  (gen_random_uuid(), 'renamed', '{"name":"Anna"}', '{"_aggregate_type": "user", "_aggregate_id": "ann", "_aggregate_version": 3}', '2017-03-06')`)
	if err := errors.Join(err, conn.Close(ctx)); err != nil {
		log.Fatal(err)
	}
	return server.URL(), func() { _ = server.Stop() }
}
