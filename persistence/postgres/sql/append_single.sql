-- Stores one event; see the function in the migrations. Served by event_version (the
-- versions) and event_position (the head).
SELECT {schema}.append_single(CASE WHEN {proof} THEN $1::smallint END, $2, $3, $4, $5, $6, $7, $8, $9, $10)
