-- Names of streams by id. Served by stream_key.
SELECT s.stream_id, s.name FROM {schema}.stream s WHERE s.stream_id = ANY ($1) AND (SELECT {proof})
