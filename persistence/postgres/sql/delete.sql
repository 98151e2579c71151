-- Deletes a stream; see the function in the migrations. Served by stream_name,
-- stream_key, event_version and event_key_key.
SELECT outcome, last, first_position FROM {schema}.delete_stream(CASE WHEN {proof} THEN $1::smallint END, (SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $2), $3, $4)
