-- Stores one append with any expectation; see the function in
-- the migrations. Served by stream_key, event_version and event_key_key.
SELECT outcome, last, first_position, reused, early FROM {schema}.append_checked(CASE WHEN {proof} THEN $1::smallint END, $2, false, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
