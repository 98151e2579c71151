-- Streams of a category by name, as stream_list.sql has them. Served by
-- stream_category in its order, and event_version for each.
SELECT s.stream_id, s.name, coalesce((SELECT max(e.version) FROM main.event e WHERE e.stream_id = s.stream_id), 0),
  s.first_version, s.begin_version, s.created, s.revision, s.metadata
FROM main.stream s WHERE s.category = ? AND s.name >= ? ORDER BY s.name
