-- The migrations that were applied to the schema, oldest first. A handful of rows.
SELECT m.version_id, max(m.tstamp) AT TIME ZONE 'UTC' FROM {schema}.migration m WHERE m.is_applied GROUP BY m.version_id ORDER BY m.version_id
