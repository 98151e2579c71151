-- The events at the versions of an append, to distinguish an earlier attempt of its
-- own from a conflict. Served by event_version.
SELECT e.version, e.event_id, e.position FROM {schema}.event e
WHERE e.stream_id = $1 AND e.version > $2 AND e.version <= $3 ORDER BY e.version
