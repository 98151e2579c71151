-- The ids of a stream are forgotten. Served by event_key_pk.
DELETE FROM main.event_key WHERE stream_id = ?
