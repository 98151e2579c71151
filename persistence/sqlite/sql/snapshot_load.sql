-- The snapshot of a stream. Served by stream_name and snapshot_pk.
SELECT version, event_id, created_at, checksum, fingerprint, state
FROM main.snapshot WHERE stream_id = (SELECT stream_id FROM main.stream WHERE name = ?)
