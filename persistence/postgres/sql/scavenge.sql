-- Empties events of a stream; see the function in the migrations. Served by
-- stream_name, event_version and event_key_key.
SELECT seen, husks, next FROM {schema}.scavenge((SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $1 AND {proof}), $2, $3)
