-- The last position of a partition, 0 for none, and the id of the event at another
-- position, if there is one. Served by event_position, the former backward.
SELECT coalesce((SELECT e.position FROM {schema}.event e WHERE e.part = $1 ORDER BY e.position DESC LIMIT 1), 0),
       (SELECT w.event_id FROM {schema}.event w WHERE w.part = $1 AND w.position = $2)
WHERE (SELECT {proof})
