-- Takes the order lock until the end of the transaction, and tells whose it is and
-- how the transaction reads. The session may be one whose search path is somebody
-- else's. Served by journal_key: one row.
SELECT j.id, pg_catalog.current_setting('transaction_isolation') FROM {schema}.journal j, pg_catalog.pg_advisory_xact_lock({lock}, $1::smallint) WHERE j.one
