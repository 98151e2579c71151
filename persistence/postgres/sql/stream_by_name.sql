-- The state of a stream, by its name. Served by stream_name, then by
-- event_version, backward.
SELECT s.stream_id, coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1), 0),
       s.first, s.begins, s.created, s.revision, s.metadata, s.name
FROM {schema}.stream s WHERE s.name = $1 AND (SELECT {proof})
