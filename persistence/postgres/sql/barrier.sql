-- Makes what was read durable before it is handed on, if writers release the order
-- lock early; to be asked after the reading. No row when they do not: what was
-- visible then is flushed. Served by partition_key.
SELECT pg_logical_emit_message(true, 'stele', '') FROM {schema}.partition k WHERE k.part = $1 AND k.early
