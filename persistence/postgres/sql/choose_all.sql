-- As read_all, but events that cannot match a filter come without their bytes. Served by
-- event_position; stream_name and stream_key serve conditions on streams.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, CASE WHEN c.ok THEN e.type END, CASE WHEN c.ok THEN e.payload END, CASE WHEN c.ok THEN e.headers END,
       CASE WHEN c.ok THEN e.metadata END, CASE WHEN c.ok THEN e.tags END, e.stream_id
FROM {schema}.event e CROSS JOIN LATERAL (SELECT ($4::text[] IS NULL OR e.type = ANY ($4)) AND ($5::uuid[] IS NULL OR e.event_id = ANY ($5)) AND ($6::text[] IS NULL OR e.tags && $6)
    AND ($7::bigint IS NULL OR e.version >= $7) AND ($8::bigint IS NULL OR e.version <= $8) AND ($9::bigint IS NULL OR e.position >= $9) AND ($10::bigint IS NULL OR e.position <= $10)
    AND ($11::timestamptz IS NULL OR e.created_at >= $11) AND ($12::timestamptz IS NULL OR e.created_at <= $12)
    AND ($13::text IS NULL OR coalesce($14::jsonb @> (e.metadata -> $13)::jsonb, false))
    AND ($15::text[] IS NULL OR e.stream_id = ANY (ARRAY(SELECT s.stream_id FROM {schema}.stream s WHERE s.name = ANY ($15))))
    AND ($16::text[] IS NULL OR (SELECT s.category FROM {schema}.stream s WHERE s.stream_id = e.stream_id) = ANY ($16)) AS ok OFFSET 0) c
WHERE (SELECT {proof}) AND e.part = $1 AND e.position > $2 ORDER BY e.position LIMIT $3
