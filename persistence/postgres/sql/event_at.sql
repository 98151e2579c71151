-- The id of the event at a position. Served by event_position.
SELECT e.event_id FROM {schema}.event e WHERE e.part = $1 AND e.position = $2
