-- Events of one stream from a version back to the first that can be read. Served
-- by event_version, backward, and once by stream_key.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags, (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1)
FROM {schema}.event e WHERE e.stream_id = $1 AND (SELECT {proof}) AND e.version <= $2 AND e.version >= (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1) ORDER BY e.version DESC LIMIT $3
