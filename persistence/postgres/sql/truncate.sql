-- Raises the first version of a stream; see the function in the migrations. Served
-- by stream_name, stream_key and event_version.
SELECT {schema}.truncate_stream((SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $1 AND {proof}), $2)
