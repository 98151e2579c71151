-- Takes the order lock until the end of the transaction, and tells whose it is and
-- how the transaction reads. One row.
SELECT j.id, current_setting('transaction_isolation') FROM {schema}.journal j, pg_advisory_xact_lock({lock}, $1::smallint)
