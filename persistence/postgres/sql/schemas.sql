-- All schemas but the one of raw payloads. Few, served by schema_key.
SELECT c.schema_id, c.encoding, c.body FROM {schema}.schema c WHERE c.schema_id > 0 AND (SELECT {proof}) ORDER BY c.schema_id
