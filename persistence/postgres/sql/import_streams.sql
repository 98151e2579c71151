-- Stores the state of streams of another journal; see the function in the
-- migrations. Served by stream_key and event_version.
SELECT {schema}.import_streams(CASE WHEN {proof} THEN $1::smallint END, $2, $3, $4, $5, $6, $7, $8)
