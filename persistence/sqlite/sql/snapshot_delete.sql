-- The snapshot of a stream is forgotten. Served by stream_name and snapshot_pk.
DELETE FROM main.snapshot WHERE stream_id = (SELECT stream_id FROM main.stream WHERE name = ?)
