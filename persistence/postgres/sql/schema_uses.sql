-- The number of events of each category, type and schema in a part of the sequence.
-- Served by event_position; the planner may find the streams in any way, because it
-- needs all of them in the end.
SELECT s.category, e.type, e.schema_id, count(*)
FROM {schema}.event e JOIN {schema}.stream s ON s.stream_id = e.stream_id
WHERE e.part = $1 AND e.position > $2 AND e.position <= $3 GROUP BY s.category, e.type, e.schema_id
