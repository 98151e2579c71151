-- Forgets the snapshots of a category. Served by stream_category and snapshot_key.
SELECT {schema}.delete_snapshots($1)
