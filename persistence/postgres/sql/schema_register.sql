-- Stores a schema unless it is there. Served by schema_digest.
SELECT {schema}.register_schema($1, CASE WHEN {proof} THEN $2::smallint END, $3)
