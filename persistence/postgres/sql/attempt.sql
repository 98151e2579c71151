-- What stands where an append wanted to write, to tell an own earlier attempt
-- from a conflict. Served by event_version.
SELECT e.version, e.event_id, e.position FROM {schema}.event e
WHERE e.stream_id = $1 AND e.version > $2 AND e.version <= $3 ORDER BY e.version
