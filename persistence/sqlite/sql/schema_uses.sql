-- How many events of which type and schema stand in a part of the sequence, by
-- category. Served by the primary keys of event and of stream; the groups are few.
SELECT s.category, e.type, e.schema_id, count(*)
FROM main.event e CROSS JOIN main.stream s ON s.stream_id = e.stream_id
WHERE e.position BETWEEN ? AND ? GROUP BY s.category, e.type, e.schema_id
