-- Ids of streams by name, made when missing. Served by stream_name. It flushes what it
-- makes: whoever has seen an id keeps it, and a crash must not give it to another name.
SELECT o, stream_id FROM {schema}.stream_ids($1, CASE WHEN {proof} THEN $2::smallint[] END)
