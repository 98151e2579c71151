-- What is wrong with streams behind an id, at most so many of them. The third
-- parameter is how many of the newest events of each are looked at, -1 all. Served
-- by the primary keys and event_version.
SELECT c.stream_id, CASE
    WHEN c.high > 0 AND (c.n <> c.high - c.low + 1 OR c.low > 1 AND (c.n < ?3 OR ?3 < 0)) THEN 'of ' || c.name || ' versions are missing up to ' || c.high
    WHEN c.first_version > c.high + 1 THEN c.name || ' begins at ' || c.first_version || ' behind its end at ' || c.high
    WHEN c.begin_version > c.first_version OR c.begin_version < 1 THEN c.name || ' begins at ' || c.first_version || ' and its life at ' || c.begin_version
    WHEN c.begin_version > 1 AND (SELECT e.type FROM main.event e WHERE e.stream_id = c.stream_id AND e.version = c.begin_version - 1) IS NOT '$deleted' THEN 'no tombstone stands before the life of ' || c.name
    WHEN (SELECT n.version FROM main.snapshot n WHERE n.stream_id = c.stream_id) > c.high THEN 'the snapshot of ' || c.name || ' is newer than the stream'
    WHEN EXISTS (SELECT 1 FROM main.event_key k WHERE k.stream_id = c.stream_id
                 AND (SELECT e.event_id FROM main.event e WHERE e.stream_id = k.stream_id AND e.version = k.version) IS NOT k.event_id) THEN 'an event id of ' || c.name || ' is not of its event'
  END
FROM (SELECT s.*,
    (SELECT count(*) FROM (SELECT 1 FROM main.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT ?3)) AS n,
    coalesce((SELECT min(v.version) FROM (SELECT e.version FROM main.event e WHERE e.stream_id = s.stream_id ORDER BY e.version DESC LIMIT ?3) v), 0) AS low,
    coalesce((SELECT max(e.version) FROM main.event e WHERE e.stream_id = s.stream_id), 0) AS high
  FROM main.stream s WHERE s.stream_id > ?1 ORDER BY s.stream_id LIMIT ?2) c
