-- The id of a schema by its content. Served by schema_digest.
SELECT schema_id FROM main.schema WHERE digest = ? AND encoding = ?
