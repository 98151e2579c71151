-- Replaces the metadata of a stream; see the function in the migrations. Served by
-- stream_name, stream_key and event_version.
SELECT outcome, revision FROM {schema}.set_metadata((SELECT s.stream_id FROM {schema}.stream s WHERE s.name = $1 AND {proof}), $2, $3)
