-- The id of the stream that was created last. Served by stream_key, backward.
SELECT max(s.stream_id) FROM {schema}.stream s
