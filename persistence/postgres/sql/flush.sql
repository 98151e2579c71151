-- Its commit flushes the log, and with it the commits before it that were not flushed.
-- Nobody decodes the message that it writes to the log.
SELECT pg_logical_emit_message(true, 'stele', '')
