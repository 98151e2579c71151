-- Saves a snapshot; see the function in the migrations. Served by stream_name,
-- stream_key, event_version and snapshot_key.
SELECT {schema}.save_snapshot((SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $1 AND {proof}), $2, $3, $4, $5, $6)
