-- Makes what was read durable before it is handed on, if writers release the order
-- lock early, and tells up to which position that is so; to be asked after the
-- reading. When they do not, what is visible is flushed. Served by partition_key,
-- and by event_position, backward.
SELECT (SELECT e.position FROM {schema}.event e WHERE e.part = k.part ORDER BY e.position DESC LIMIT 1),
  CASE WHEN k.early THEN pg_logical_emit_message(true, 'stele', '') END
FROM {schema}.partition k WHERE k.part = $1
