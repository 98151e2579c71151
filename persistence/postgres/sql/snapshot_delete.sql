-- Deletes the snapshot of a stream. Served by stream_name and snapshot_key.
SELECT {schema}.delete_snapshot($1)
