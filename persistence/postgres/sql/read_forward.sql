-- Events of one stream from a version on. Served by event_version alone, so the
-- plan must stay an index scan without a sort.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags
FROM {schema}.event e WHERE e.stream_id = $1 AND e.version >= $2 ORDER BY e.version LIMIT $3
