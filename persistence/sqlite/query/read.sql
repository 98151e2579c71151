-- Events of one stream from a version on. Served by stream_name once and then
-- by event_version in its order, so nothing is sorted.
SELECT position, version, event_id, created_at, schema_id, type, tags, metadata, headers, payload
FROM main.event WHERE stream_id = (SELECT stream_id FROM main.stream WHERE name = ?) AND version >= ?
ORDER BY version LIMIT ?
