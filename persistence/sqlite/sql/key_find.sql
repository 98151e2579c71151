-- Where a named event stands in its stream. Served by event_key_pk.
SELECT version FROM main.event_key WHERE stream_id = ? AND event_id = ?
