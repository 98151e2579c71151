-- The snapshots of a category are forgotten. Served by stream_category and
-- snapshot_pk.
DELETE FROM main.snapshot WHERE stream_id IN (SELECT stream_id FROM main.stream WHERE category = ?)
