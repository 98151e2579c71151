-- Events of one partition after a position. Served by event_position alone.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags, e.stream_id
FROM {schema}.event e WHERE (SELECT {proof}) AND e.part = $1 AND e.position > $2 ORDER BY e.position LIMIT $3
