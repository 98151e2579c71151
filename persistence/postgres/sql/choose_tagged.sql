-- As choose_all, for events that have one of the tags $17, with the last position of
-- the partition at the same moment; where there is no such event that stands alone.
-- Served by event_tag_key in the order asked for, of each tag as many as are wanted,
-- and by event_position for each.
SELECT e.version, e.position, e.created_at, e.event_id, e.schema_id, CASE WHEN c.ok THEN e.type END, CASE WHEN c.ok THEN e.payload END, CASE WHEN c.ok THEN e.headers END,
       CASE WHEN c.ok THEN e.metadata END, CASE WHEN c.ok THEN e.tags END, e.stream_id, h.position
FROM (SELECT coalesce((SELECT l.position FROM {schema}.event l WHERE l.part = $1 ORDER BY l.position DESC LIMIT 1), 0) AS position) h
LEFT JOIN LATERAL (SELECT DISTINCT k.position FROM unnest($17::text[]) t(tag) CROSS JOIN LATERAL (SELECT g.position FROM {schema}.event_tag g
    WHERE g.tag = t.tag AND g.part = $1 AND g.position > $2 ORDER BY g.position LIMIT $3) k ORDER BY k.position LIMIT $3) p ON true
LEFT JOIN {schema}.event e ON e.part = $1 AND e.position = p.position
CROSS JOIN LATERAL (SELECT ($4::text[] IS NULL OR e.type = ANY ($4)) AND ($5::uuid[] IS NULL OR e.event_id = ANY ($5)) AND ($6::text[] IS NULL OR e.tags && $6)
    AND ($7::bigint IS NULL OR e.version >= $7) AND ($8::bigint IS NULL OR e.version <= $8) AND ($9::bigint IS NULL OR e.position >= $9) AND ($10::bigint IS NULL OR e.position <= $10)
    AND ($11::timestamptz IS NULL OR e.created_at >= $11) AND ($12::timestamptz IS NULL OR e.created_at <= $12)
    AND ($13::text IS NULL OR coalesce($14::jsonb @> (e.metadata -> $13)::jsonb, false))
    AND ($15::text[] IS NULL OR e.stream_id = ANY (ARRAY(SELECT s.stream_id FROM {schema}.stream s WHERE s.name = ANY ($15))))
    AND ($16::text[] IS NULL OR (SELECT s.category FROM {schema}.stream s WHERE s.stream_id = e.stream_id) = ANY ($16)) AS ok OFFSET 0) c
WHERE (SELECT {proof}) ORDER BY p.position
