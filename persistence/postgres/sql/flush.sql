-- Its commit flushes the log, and with it the commits before that were not waited
-- for. The message is one that nobody decodes.
SELECT pg_logical_emit_message(true, 'stele', '')
