-- A part of the global sequence, from its end. Served like read_all.sql.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload, s.name
FROM main.event e CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE e.position BETWEEN ? AND ? {and} ORDER BY e.position DESC
