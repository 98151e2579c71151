-- Makes the events that were read durable, if writers release the order lock early,
-- and returns the position up to which all events are durable. It is sent after the
-- reading. When writers do not release early, visible events are durable. Served by partition_key,
-- and by event_position, backward.
SELECT (SELECT e.position FROM {schema}.event e WHERE e.part = k.part ORDER BY e.position DESC LIMIT 1),
  CASE WHEN k.early THEN pg_logical_emit_message(true, 'stele', '') END
FROM {schema}.partition k WHERE k.part = $1
