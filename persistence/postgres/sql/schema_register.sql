-- Stores a schema unless it is there. Served by schema_digest.
SELECT {schema}.register_schema($1, $2, $3)
