-- Events of one stream from a version on, with the first version that can be read.
-- Served by event_version alone, so the plan must stay an index scan without a
-- sort; stream_key serves the first version, once.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags, (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1)
FROM {schema}.event e WHERE e.stream_id = $1 AND (SELECT {proof}) AND e.version >= greatest($2, (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1)) ORDER BY e.version LIMIT $3
