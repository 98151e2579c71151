-- One event of a stream, to compare its content. Served by event_version.
SELECT position, version, event_id, created_at, schema_id, type, tags, metadata, headers, payload
FROM main.event WHERE stream_id = ? AND version = ?
