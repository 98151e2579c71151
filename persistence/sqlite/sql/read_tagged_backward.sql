-- Events of a part of the sequence that have a tag, from its end. Served by
-- event_tag_pk in its order.
SELECT e.position, e.version, e.event_id, e.created_at, e.schema_id, e.type, e.tags, e.metadata, e.headers, e.payload, s.name
FROM ({tagged} ORDER BY 1 DESC) t CROSS JOIN main.event e ON e.position = t.position CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE TRUE {and} ORDER BY t.position DESC
