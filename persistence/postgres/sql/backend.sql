-- The backend of this connection and when it began, as a number, because the form of
-- a text depends on the role. Only the role that has logged in sees it.
SELECT a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
