-- Faults of streams after an id, at most $2 streams, and the last id examined. $3 is
-- the number of newest events to examine in each, NULL for all.
-- Served by stream_key, event_version, snapshot_key and event_key_key.
SELECT max(c.stream_id), string_agg(c.fault, E'\n') FROM (
  SELECT s.stream_id, CASE
      WHEN v.n <> v.high - v.low + 1 OR v.low > 1 AND (v.n < $3 OR $3 IS NULL) THEN format('of %s versions are missing up to %s', s.name, v.high)
      WHEN v.strays > 0 THEN format('events of %s are in another partition', s.name)
      WHEN s.first > v.high + 1 THEN format('%s begins at %s behind its end at %s', s.name, s.first, v.high)
      WHEN s.begins > s.first OR s.begins < 1 THEN format('%s begins at %s and its life at %s', s.name, s.first, s.begins)
      WHEN s.begins > 1 AND (SELECT e.type FROM {schema}.event e WHERE e.stream_id = s.stream_id AND e.version = s.begins - 1) IS DISTINCT FROM '$deleted' THEN format('no tombstone stands before the life of %s', s.name)
      WHEN (SELECT n.version FROM {schema}.snapshot n WHERE n.stream_id = s.stream_id) > v.high THEN format('the snapshot of %s is newer than the stream', s.name)
      WHEN EXISTS (SELECT FROM {schema}.event_key k WHERE k.stream_id = s.stream_id
                   AND (SELECT e.event_id FROM {schema}.event e WHERE e.stream_id = k.stream_id AND e.version = k.version) IS DISTINCT FROM k.event_id) THEN format('an event id of %s is not of its event', s.name)
    END AS fault
  FROM (SELECT * FROM {schema}.stream t WHERE t.stream_id > $1 ORDER BY t.stream_id LIMIT $2) s
  CROSS JOIN LATERAL (SELECT count(*) AS n, coalesce(min(e.version), 1) AS low, coalesce(max(e.version), 0) AS high, count(*) FILTER (WHERE e.part <> s.part) AS strays
                      FROM (SELECT l.version, l.part FROM {schema}.event l WHERE l.stream_id = s.stream_id ORDER BY l.version DESC LIMIT $3) e) v
) c
