-- As read_backward, but events that cannot match a filter come without their bytes.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, CASE WHEN c.ok THEN e.type END, CASE WHEN c.ok THEN e.payload END, CASE WHEN c.ok THEN e.headers END,
       CASE WHEN c.ok THEN e.metadata END, CASE WHEN c.ok THEN e.tags END, (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1)
FROM {schema}.event e CROSS JOIN LATERAL (SELECT ($4::text[] IS NULL OR e.type = ANY ($4)) AND ($5::uuid[] IS NULL OR e.event_id = ANY ($5)) AND ($6::text[] IS NULL OR e.tags && $6)
    AND ($7::bigint IS NULL OR e.version >= $7) AND ($8::bigint IS NULL OR e.version <= $8) AND ($9::bigint IS NULL OR e.position >= $9) AND ($10::bigint IS NULL OR e.position <= $10)
    AND ($11::timestamptz IS NULL OR e.created_at >= $11) AND ($12::timestamptz IS NULL OR e.created_at <= $12)
    AND ($13::text IS NULL OR coalesce($14::jsonb @> (e.metadata -> $13)::jsonb, false)) AS ok OFFSET 0) c
WHERE e.stream_id = $1 AND (SELECT {proof}) AND e.version <= $2 AND e.version >= (SELECT s.first FROM {schema}.stream s WHERE s.stream_id = $1) ORDER BY e.version DESC LIMIT $3
