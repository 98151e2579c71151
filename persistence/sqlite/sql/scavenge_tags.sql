-- Tags of events that are to be emptied. Served by event_version.
SELECT e.position, e.tags FROM main.event e
WHERE e.stream_id = ? AND e.version BETWEEN ? AND ? AND e.tags IS NOT NULL
