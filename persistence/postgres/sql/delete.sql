-- Ends a stream; see the function in the migrations. Served by stream_name,
-- stream_key, event_version and event_key_key.
SELECT outcome, last, first_position FROM {schema}.delete_stream($1, (SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $2), $3, $4)
