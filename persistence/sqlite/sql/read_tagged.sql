-- Events of a part of the sequence that have one of some tags. Each tag is served
-- by event_tag_pk in the order of positions; SQLite merges them as it goes.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload, s.name
FROM ({tagged} ORDER BY 1) t CROSS JOIN main.event e ON e.position = t.position CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE TRUE {and} ORDER BY t.position
