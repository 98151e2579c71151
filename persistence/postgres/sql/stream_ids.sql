-- Ids of streams by name, created when missing. Served by stream_name. It flushes the
-- streams that it creates: journals remember ids, so a crash must not give one to another
-- name.
SELECT o, stream_id FROM {schema}.stream_ids($1, CASE WHEN {proof} THEN $2::smallint[] END)
