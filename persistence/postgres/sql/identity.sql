-- The journal's id. Served by journal_key: one row.
SELECT j.id FROM {schema}.journal j WHERE j.one
