-- A part of the global sequence. Served by the primary keys of event, in its
-- order, and of stream. What a filter adds uses no index.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload, s.name
FROM main.event e CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE e.position BETWEEN ? AND ? {and} ORDER BY e.position
