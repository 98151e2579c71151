-- A part of the global sequence, with which ids are recognised when they are
-- repeated. Served like read_all.sql, and by event_key_pk.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload,
  EXISTS (SELECT 1 FROM main.event_key k WHERE k.stream_id = e.stream_id AND k.event_id = e.event_id AND k.version = e.version), s.name
FROM main.event e CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE e.position BETWEEN ? AND ? {and} ORDER BY e.position
