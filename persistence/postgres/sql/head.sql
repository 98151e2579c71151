-- The last position of a partition. Served by event_position, backward.
SELECT e.position FROM {schema}.event e WHERE e.part = $1 AND (SELECT {proof}) ORDER BY e.position DESC LIMIT 1
