-- A snapshot, unless there is one of a higher version. Served by snapshot_pk.
INSERT INTO main.snapshot (stream_id, version, event_id, created_at, checksum, fingerprint, state)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (stream_id) DO UPDATE SET version = excluded.version, event_id = excluded.event_id, created_at = excluded.created_at,
  checksum = excluded.checksum, fingerprint = excluded.fingerprint, state = excluded.state
WHERE excluded.version >= snapshot.version
