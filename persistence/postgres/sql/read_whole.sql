-- As read_all, with whether the event's id is a key. Served by event_position, and
-- by event_key_key for each.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, e.type, e.payload, e.headers, e.metadata, e.tags, e.stream_id,
       (SELECT k.version FROM {schema}.event_key k WHERE k.stream_id = e.stream_id AND k.event_id = e.event_id) = e.version
FROM {schema}.event e WHERE (SELECT {proof}) AND e.part = $1 AND e.position > $2 ORDER BY e.position LIMIT $3
