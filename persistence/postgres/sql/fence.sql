-- Ends the backend of a lost connection and waits for its end, so that what it had
-- begun is stored or undone. Its start distinguishes it from a later one of the same number.
SELECT pg_terminate_backend(a.pid, $3) FROM pg_stat_activity a WHERE a.pid = $1 AND (extract(epoch FROM a.backend_start) * 1000000)::bigint = $2::bigint
