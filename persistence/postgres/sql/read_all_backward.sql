-- Events of one partition before a position. Served by event_position, backward.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags, e.stream_id
FROM {schema}.event e WHERE (SELECT {proof}) AND e.part = $1 AND e.position < $2 ORDER BY e.position DESC LIMIT $3
