-- Ids of streams by name. It creates none. Served by stream_name.
SELECT s.stream_id, s.name FROM {schema}.stream s WHERE s.name = ANY ($1) AND (SELECT {proof})
