-- Events of one stream, newest first. Served like read.sql, from the other end.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload
FROM main.event e WHERE e.stream_id = ? AND e.version BETWEEN ? AND ? {and} ORDER BY e.version DESC
