-- Takes the order lock until the end of the transaction and tells whose it is. One
-- row.
SELECT j.id FROM {schema}.journal j, pg_advisory_xact_lock({lock}, $1)
