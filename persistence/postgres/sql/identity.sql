-- The journal's id. One row.
SELECT j.id FROM {schema}.journal j
