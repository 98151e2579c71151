-- Stores events of another journal; see the function in the migrations. Served by
-- event_position, event_version, event_key_key and stream_key.
SELECT {schema}.import_events(CASE WHEN {proof} THEN $1::smallint END, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
