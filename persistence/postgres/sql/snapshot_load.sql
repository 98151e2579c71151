-- The snapshot of a stream by its name. Served by stream_name and snapshot_key.
SELECT n.version, n.event_id, n.created_at, n.checksum, n.fingerprint, n.state
FROM {schema}.stream s JOIN {schema}.snapshot n ON n.stream_id = s.stream_id WHERE s.name = $1 AND (SELECT {proof})
