-- Takes the order lock until the end of the transaction, and returns the journal's id
-- and the isolation of the transaction. The session may have any search path. Served by journal_key: one row.
SELECT j.id, pg_catalog.current_setting('transaction_isolation') FROM {schema}.journal j, pg_catalog.pg_advisory_xact_lock({lock}, $1::smallint) WHERE j.one
