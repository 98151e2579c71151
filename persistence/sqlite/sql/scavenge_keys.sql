-- The ids of events that are to be emptied, unless they were given anew to a
-- later event. Served by event_key_pk and event_version.
DELETE FROM main.event_key
WHERE stream_id = ?1 AND version BETWEEN ?2 AND ?3
  AND event_id IN (SELECT e.event_id FROM main.event e WHERE e.stream_id = ?1 AND e.version BETWEEN ?2 AND ?3)
