-- Events of one stream from a version down. Served like read.sql, from the other
-- end.
SELECT position, version, event_id, created_at, schema_id, type, tags, metadata, headers, payload
FROM main.event WHERE stream_id = (SELECT stream_id FROM main.stream WHERE name = ?) AND version <= ?
ORDER BY version DESC LIMIT ?
