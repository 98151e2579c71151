-- Who serves this connection and since when, as a number: a text has the form that
-- the role likes. Only the role that has logged in sees it.
SELECT a.pid, (extract(epoch FROM a.backend_start) * 1000000)::bigint FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()
