-- The newest migration of the schema. A handful of rows.
SELECT coalesce(max(m.version_id) FILTER (WHERE m.is_applied), 0) FROM {schema}.migration m
