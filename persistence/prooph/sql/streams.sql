-- The streams of prooph, with what their tables' indexes tell of the strategy: 1
-- aggregate stream, 2 single stream, 3 simple; 0 when there is no such table. Read
-- once.
SELECT s.real_stream_name, rtrim(s.stream_name), s.metadata::text,
       CASE WHEN t.relation IS NULL THEN 0
            WHEN i.indexed @> ARRAY['_aggregate_type', '_aggregate_id', '_aggregate_version'] THEN 2
            WHEN i.indexed @> ARRAY['_aggregate_version'] THEN 1
            ELSE 3 END
FROM {table} s
CROSS JOIN LATERAL (SELECT to_regclass(CASE WHEN strpos(s.stream_name, '.') > 0
       THEN quote_ident(split_part(s.stream_name, '.', 1)) || '.' || quote_ident(rtrim(substr(s.stream_name, strpos(s.stream_name, '.') + 1)))
       ELSE quote_ident(rtrim(s.stream_name)) END) AS relation) t
LEFT JOIN LATERAL (SELECT array_agg(DISTINCT m.key) AS indexed FROM pg_index x
       CROSS JOIN LATERAL (SELECT unnest(regexp_matches(pg_get_indexdef(x.indexrelid), '_aggregate_(?:type|id|version)', 'g')) AS key) m
       WHERE x.indrelid = t.relation AND x.indisunique) i ON true
WHERE $1::text[] IS NULL OR s.real_stream_name = ANY ($1)
ORDER BY s.no
