-- The snapshots of a category from before a time are forgotten. Served by
-- stream_category and snapshot_pk.
DELETE FROM main.snapshot WHERE stream_id IN (SELECT stream_id FROM main.stream WHERE category = ?) AND created_at < ?
