-- The place of an event id among some events of a stream, newest first, and how far
-- the search went. It is for resends of appends that named no version. Served by
-- event_version, backward.
SELECT max(e.version) FILTER (WHERE e.event_id = $2), max(e.position) FILTER (WHERE e.event_id = $2), min(e.version), min(e.position)
FROM (SELECT n.version, n.event_id, n.position FROM {schema}.event n
      WHERE n.stream_id = $1 AND n.version < $3 ORDER BY n.version DESC LIMIT 10000) e
