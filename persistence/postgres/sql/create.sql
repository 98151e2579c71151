-- Creates a stream; see the function in the migrations. Served by stream_name,
-- stream_key and event_version.
SELECT {schema}.create_stream((SELECT n.stream_id FROM {schema}.stream_ids(ARRAY[$1::text], ARRAY[CASE WHEN {proof} THEN $2::smallint END]) n), $3)
