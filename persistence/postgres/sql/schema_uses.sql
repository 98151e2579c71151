-- How many events of which type and schema stand in a part of the sequence, by
-- category. Served by event_position; the streams are found as the planner likes,
-- for it looks at all of them in the end.
SELECT s.category, e.type, e.schema_id, count(*)
FROM {schema}.event e JOIN {schema}.stream s ON s.stream_id = e.stream_id
WHERE e.part = $1 AND e.position > $2 AND e.position <= $3 GROUP BY s.category, e.type, e.schema_id
