-- Ids of streams by name, made when missing. Served by stream_name.
SELECT o, stream_id FROM {schema}.stream_ids($1, $2)
