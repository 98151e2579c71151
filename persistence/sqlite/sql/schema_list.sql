-- Schemas behind an id. Served by schema_pk in its order.
SELECT schema_id, encoding, body FROM main.schema WHERE schema_id > ? ORDER BY schema_id LIMIT ?
