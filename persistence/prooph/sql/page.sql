-- The next rows of a table, at most $2, and no more behind the one with which they
-- have more than $3 bytes. Served by the primary key.
SELECT p.no, p.event_id, p.event_name, p.payload, p.metadata, p.created_at, p.type, p.id, p.version
FROM (SELECT r.*, sum(octet_length(r.payload) + octet_length(r.metadata)) OVER (ORDER BY r.no ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (SELECT t.no, t.event_id, t.event_name, t.payload::text AS payload, t.metadata::text AS metadata, t.created_at,
                   t.metadata->>'_aggregate_type' AS type, t.metadata->>'_aggregate_id' AS id, t.metadata->>'_aggregate_version' AS version
            FROM {table} t WHERE t.no > $1 ORDER BY t.no LIMIT $2) r) p
WHERE coalesce(p.before, 0) <= $3
ORDER BY p.no
