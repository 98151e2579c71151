-- The last position of a partition. Served by event_position, backward.
SELECT e.position FROM {schema}.event e WHERE e.part = $1 ORDER BY e.position DESC LIMIT 1
