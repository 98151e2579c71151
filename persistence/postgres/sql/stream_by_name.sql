-- Id and last version of a stream by its name. Served by stream_name, then by
-- event_version, backward.
SELECT s.stream_id, coalesce((SELECT e.version FROM {schema}.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT 1), 0)
FROM {schema}.stream s WHERE s.name = $1
