-- Who serves this connection, whether it may write, and whether writers release
-- the order lock early.
SELECT a.pid, a.backend_start::text, pg_is_in_recovery(), (SELECT k.early FROM {schema}.partition k WHERE k.part = 0) FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
