-- Events of one stream, oldest first. Served by event_version in its order, so
-- nothing is sorted. What a filter adds uses no index.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload
FROM main.event e WHERE e.stream_id = ? AND e.version BETWEEN ? AND ? {and} ORDER BY e.version
