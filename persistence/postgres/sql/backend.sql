-- Who serves this connection, and whether it may write.
SELECT a.pid, a.backend_start::text, pg_is_in_recovery() FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
